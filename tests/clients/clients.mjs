// The official Node.js SDKs against the simulated cloud. Arguments: host, instance ID. Prints what it saw as JSON.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.CLIENTS}/package.json`); // where npm put them
const kvstore = require("@alicloud/r-kvstore20150101");
const fc = require("@alicloud/fc20230330");
const { Readable } = require("node:stream");

const [host, instanceId] = process.argv.slice(2);
const config = {
  accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
  accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
  endpoint: host,
  protocol: "http",
  regionId: "cn-hangzhou",
};
const client = new kvstore.default(config);
const seen = {};

const minutes = (offset) => new Date(Date.now() + offset * 60_000).toISOString().slice(0, 16) + "Z";
const created = (await client.createBackup(new kvstore.CreateBackupRequest({ instanceId, backupRetentionPeriod: 30 }))).body;
seen.jobId = String(created.backupJobID);

const tasks = (await client.describeBackupTasks(new kvstore.DescribeBackupTasksRequest({ instanceId }))).body;
seen.tasks = tasks.backupJobs.map((job) => String(job.backupJobID));

seen.refused = await client.createBackup(new kvstore.CreateBackupRequest({ instanceId })).then(
  () => null,
  (error) => error.code,
);

const window = new kvstore.DescribeBackupsRequest({ instanceId, startTime: minutes(-600), endTime: minutes(600) });
for (let look = 0; look < 100 && !seen.status; look++) {
  const backups = (await client.describeBackups(window)).body.backups.backup;
  seen.status = backups.find((backup) => String(backup.backupJobID) === seen.jobId)?.backupStatus;
  await new Promise((resolve) => setTimeout(resolve, 50));
}

const functions = new fc.default(config);
const body = Readable.from([Buffer.from(JSON.stringify({ instance_ids: [instanceId], max_age_minutes: 600 }))]);
const answer = await functions.invokeFunction("redis-backup", new fc.InvokeFunctionRequest({ body }));
let text = "";
for await (const chunk of answer.body) text += chunk;
const report = JSON.parse(text);
seen.report = { states: report.instances.map((each) => each.state), adopted: report.instances[0].adopted };
console.log(JSON.stringify(seen));
