// Queries a Kendra index with the AWS SDK for JavaScript v3 and prints what came out, a line each.
// Arguments: the folder with node_modules, the endpoint, the index.
import { createRequire } from "node:module";

const [folder, endpoint, index] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { KendraClient, QueryCommand, RetrieveCommand, SubmitFeedbackCommand, ValidationException } =
  require("@aws-sdk/client-kendra");

const client = new KendraClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "local", secretAccessKey: "local" },
});
const print = (...values) => console.log(JSON.stringify(values));

const query = await client.send(new QueryCommand({
  IndexId: index,
  QueryText: "kettle",
  AttributeFilter: {
    GreaterThan: { Key: "_created_at", Value: { DateValue: new Date("2022-01-01T00:00:00Z") } },
  },
  Facets: [{ DocumentAttributeKey: "_category" }],
}));
print("query", query.ResultItems.map((item) => item.DocumentId), query.TotalNumberOfResults);
print("facet", query.FacetResults[0].DocumentAttributeValueCountPairs[0].Count > 0);
const retrieved = await client.send(new RetrieveCommand({ IndexId: index, QueryText: "kettle" }));
print("retrieve", retrieved.ResultItems.map((item) => item.DocumentId));
await client.send(new SubmitFeedbackCommand({
  IndexId: index,
  QueryId: query.QueryId,
  ClickFeedbackItems: [{ ResultId: query.ResultItems[0].Id, ClickTime: new Date() }],
}));
try {
  await client.send(new QueryCommand({ IndexId: index, QueryText: "kettle", PageSize: 0 }));
} catch (error) {
  print("refused", error instanceof ValidationException, error.message !== "");
}
