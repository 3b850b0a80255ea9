// OSS's official Node.js SDK against the simulated cloud: the bucket is in the host name that it sends.
// Argument: the bucket. Prints what it saw as JSON.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.CLIENTS}/package.json`); // where npm put it
const OSS = require("ali-oss");

const [bucket] = process.argv.slice(2);
const client = new OSS({
  accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
  accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
  stsToken: process.env.ALIBABA_CLOUD_SECURITY_TOKEN,
  endpoint: process.env.BACKUP_OSS_ENDPOINT,
  region: `oss-${process.env.ALIBABA_CLOUD_REGION_ID}`,
  authorizationV4: true,
  bucket,
});
const refusal = (call) => call.then(() => null, (error) => [error.status, error.code]);
const seen = {};

const name = "redis/1234/a b+ü.json";
const once = { headers: { "x-oss-forbid-overwrite": "true" } };
const put = await client.put(name, Buffer.from("0123456789"), once);
seen.crc64 = put.res.headers["x-oss-hash-crc64ecma"];
seen.refused = await refusal(client.put(name, Buffer.from("again"), once));

const range = await client.get(name, { headers: { Range: "bytes=2-4" } });
seen.range = [range.res.status, range.content.toString(), range.res.headers["content-range"]];
const outside = await client.get(name, { headers: { Range: "bytes=5-10" } });
seen.outside = [outside.res.status, outside.content.toString()];
const head = await client.head(name);
seen.head = [head.status, head.res.headers["content-length"], head.res.headers.etag];
seen.missing = [await refusal(client.get("redis/none")), await refusal(client.head("redis/none"))];

const data = Buffer.alloc(450 * 1024, "redis");
const uploaded = await client.multipartUpload("redis/1234/parts.rdb", data, { partSize: 200 * 1024, parallel: 2 });
seen.parts = [uploaded.res.status, /-3"$/.test(uploaded.etag)];
seen.whole = (await client.get("redis/1234/parts.rdb")).content.equals(data);

const { uploadId } = await client.initMultipartUpload("redis/1234/unfinished.rdb");
await client.uploadPart("redis/1234/unfinished.rdb", uploadId, 1, data, 0, 1000);
const parts = await client.listParts("redis/1234/unfinished.rdb", uploadId, {}, {});
seen.listedParts = [].concat(parts.parts).map((part) => [Number(part.PartNumber), Number(part.Size)]);
const { uploads } = await client.listUploads({ prefix: "redis/" });
seen.uploads = uploads.map((upload) => [upload.name, upload.uploadId === uploadId]);
await client.abortMultipartUpload("redis/1234/unfinished.rdb", uploadId);
seen.aborted = (await client.listUploads({})).uploads ?? [];

const { objects } = await client.listV2({ prefix: "redis/", "max-keys": 10 });
seen.objects = objects.map((object) => [object.name, object.size]);
await client.delete(name);
seen.deleted = await refusal(client.head(name));
seen.denied = await refusal(client.put("elsewhere", Buffer.from("")));
console.log(JSON.stringify(seen));
