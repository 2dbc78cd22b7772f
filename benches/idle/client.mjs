// Node's clients, each connection used every so many seconds: NAME URL CONNECTIONS THINK SECONDS METHOD.
// Prints the number of requests and of those that were lost.

import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const [name, base, connections, think, seconds, method] = process.argv.slice(2);
const end = performance.now() + 1000 * Number(seconds);
const body = method === "POST" ? "x".repeat(100) : undefined;
const url = method === "GET" ? base.replace("/echo", "/") : base;
const agent = new http.Agent({ keepAlive: true });
let requests = 0;
let lost = 0;

function plain() {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { agent, method }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function fetched() {
  const response = await fetch(url, { method, body });
  await response.arrayBuffer();
  return response.status;
}

const ask = name === "http" ? plain : fetched;
await Promise.all(
  Array.from({ length: Number(connections) }, async () => {
    await sleep(Math.random() * 1000 * Number(think));
    while (performance.now() < end) {
      const status = await ask().catch(() => 0);
      requests += 1;
      lost += status === 201 ? 0 : 1;
      await sleep(1000 * Number(think));
    }
  }),
);
console.log(requests, lost);
process.exit();
