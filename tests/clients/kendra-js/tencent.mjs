// Calls RunRerank with Tencent's SDK for Node.js and prints the answer or the error as JSON.
// Arguments: the folder with node_modules, the endpoint without http://, method, signing method,
// SecretId, SecretKey, query, documents.
import { createRequire } from "node:module";

const [folder, endpoint, reqMethod, signMethod, secretId, secretKey, Query, ...Docs] =
  process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { CommonClient } = require("tencentcloud-sdk-nodejs-common");

const client = new CommonClient(endpoint, "2024-05-22", {
  credential: { secretId, secretKey },
  region: "ap-jakarta",
  profile: { signMethod, httpProfile: { protocol: "http://", reqMethod, endpoint } },
});
try {
  const answer = await client.request("RunRerank", { Query, Docs });
  console.log(JSON.stringify({ scores: answer.ScoreList, tokens: answer.Usage.TotalTokens }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
