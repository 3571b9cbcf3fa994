// An identity provider for tests: one client, one audience, keys made at the start.
//
// Usage: node provider.mjs MODULES PORT, where MODULES holds oidc-provider. Prints "ready".
// SIGHUP makes new keys and signs with those only; SIGTERM ends it.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, port] = process.argv.slice(2);
const found = createRequire(`${modules}/`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found).href);
const issuer = `http://127.0.0.1:${port}`;

function newKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };
}

function newProvider() {
  return new Provider(issuer, {
    clients: [{
      client_id: "caller",
      client_secret: "not-a-secret-of-anybody",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
    }],
    jwks: { keys: [newKey()] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          scope: "falaj:infer falaj:metadata falaj:metrics",
          audience,
          accessTokenFormat: "jwt",
          accessTokenTTL: 300,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
}

let answer = newProvider().callback();
const server = createServer((request, response) => answer(request, response));
process.on("SIGHUP", () => {
  answer = newProvider().callback();
  console.log("rotated");
});
process.on("SIGTERM", () => process.exit(0));
server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
