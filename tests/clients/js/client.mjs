// An application that uses opensearch-js, with compressed bodies. Prints one JSON line for each
// operation: its name, the status and the body.
import { createRequire } from "node:module";

const [, , folder, url, index] = process.argv;
const { Client } = createRequire(`${folder}/`)("@opensearch-project/opensearch");
const client = new Client({ node: url, compression: "gzip", suggestCompression: true });

async function tell(name, operation) {
  let response;
  try {
    response = await operation();
  } catch (error) {
    if (!error.meta) throw error;
    response = error.meta;
  }
  console.log(JSON.stringify([name, response.statusCode, response.body]));
  return response.body;
}

const query = { match: { body: "red shoes" } };
const body = Array.from({ length: 30 }, (_, n) => [
  { index: { _index: index, _id: String(n) } },
  { n, body: "red café 😀 " + "shoes ".repeat(n) },
]).flat();

await tell("info", () => client.info());
await tell("create", () => client.indices.create({ index, body: { settings: { number_of_shards: 1 } } }));
await tell("bulk", () => client.bulk({ refresh: true, body }));
await tell("get", () => client.get({ index, id: "3" }));
await tell("missing", () => client.get({ index, id: "a/b" }));
await tell("exists", () => client.exists({ index, id: "3" }));
await tell("search", () => client.search({ index, body: { query, size: 4 } }));
await tell("page", () => client.search({ index, from: 4, size: 4, body: { query } }));
await tell("msearch", () => client.msearch({ body: [{ index }, { query, size: 2 }, {}, { query: { match_all: {} }, size: 1 }] }));
let page = await tell("scroll", () => client.search({ index, scroll: "1m", size: 12, body: { query } }));
while (page.hits.hits.length) {
  const scroll_id = page._scroll_id;
  page = await tell("next", () => client.scroll({ body: { scroll: "1m", scroll_id } }));
}
await tell("refused", () => client.search({ index, body: { query: { nonsense: {} } } }));
await tell("update", () => client.update({ index, id: "3", body: { doc: { n: 300 } } }));
await tell("delete", () => client.delete({ index, id: "3" }));
await tell("delete again", () => client.delete({ index, id: "3" }));
await tell("drop", () => client.indices.delete({ index }));
await client.close();
