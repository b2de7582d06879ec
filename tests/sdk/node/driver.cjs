// One Node SDK, unmodified, that does what lines of JSON say; see ../driver.py.
//   node driver.cjs BASE_URL FOLDER_WITH_NODE_MODULES
"use strict";
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const readline = require("node:readline");

const [baseURL, folder] = process.argv.slice(2);
const sdk = createRequire(`${folder}/package.json`);
const OpenAI = sdk("openai");
const NAMES = { download_content: "downloadContent", create_character: "createCharacter", get_character: "getCharacter" };
// What the methods take before their body or query, by position.
const POSITIONAL = {
  create: ["$body"], retrieve: ["video_id"], list: ["$body"], delete: ["video_id"], remix: ["video_id", "$body"],
  downloadContent: ["video_id", "$body"], edit: ["$body"], extend: ["$body"], createCharacter: ["$body"],
  getCharacter: ["character_id"], unwrap: ["payload", "headers", "secret"],
};

async function argument(value) {
  if (value && typeof value === "object" && "$file" in value) {
    const [name, content] = value.$file;
    return OpenAI.toFile(Buffer.from(content, "base64"), name);
  }
  return value;
}

async function act(order) {
  const client = new OpenAI({ baseURL, apiKey: order.token, maxRetries: order.retries, timeout: 60_000 });
  const parts = order.verb.split(".");
  const name = NAMES[parts.at(-1)] ?? parts.at(-1);
  const target = client[parts[0]];
  const { extra_headers: headers, extra_body: extra, ...rest } = order.args;
  const body = { ...rest, ...extra };
  const wanted = parts[0] === "models" && name === "retrieve" ? ["model"] : POSITIONAL[name];
  const given = [];
  for (const each of wanted ?? []) {
    if (each === "$body") continue;
    given.push(await argument(body[each]));
    delete body[each];
  }
  if (wanted?.includes("$body")) {
    for (const key of Object.keys(body)) body[key] = await argument(body[key]);
    given.push(body);
  }
  try {
    if (name === "unwrap") return { ok: await target.unwrap(...given) };
    if (headers) given.push({ headers });
    const promise = target[name](...given);
    if (order.pages) {
      const pages = [];
      for await (const page of (await promise).iterPages()) pages.push(page.data);
      return { ok: pages };
    }
    const { data, response } = await promise.withResponse();
    const told = { headers: Object.fromEntries(response.headers) };
    if (name === "downloadContent") {
      const content = Buffer.from(await response.arrayBuffer()).toString("base64");
      return { ok: content, status: response.status, ...told };
    }
    return { ok: data, ...told };
  } catch (error) {
    return {
      error: {
        class: error.constructor.name, status_code: error.status, code: error.code, param: error.param,
        type: error.type, message: error.message, request_id: error.requestID,
        headers: error.headers ? Object.fromEntries(error.headers) : {},
      },
    };
  }
}

async function main() {
  const version = JSON.parse(readFileSync(`${folder}/node_modules/openai/package.json`, "utf8")).version;
  process.stdout.write(`${JSON.stringify({ version })}\n`);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const each = Array.from({ length: order.times }, (_, n) => JSON.parse(line.replaceAll("{number}", n)));
    const answers = await Promise.all(each.map(act));
    process.stdout.write(`${JSON.stringify(order.times > 1 ? answers : answers[0])}\n`);
  }
}

main();
