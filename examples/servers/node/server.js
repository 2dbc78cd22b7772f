// A small server that ends as Node's servers do: server.close() on SIGTERM.
//
// usage: node server.js [--host HOST] [--port PORT]
//
// GET / answers with the version, GET /sleep/N after N seconds, POST /echo with the body.
'use strict';

const http = require('node:http');
const { parseArgs } = require('node:util');

const LONGEST_SLEEP = 60;
const LARGEST_BODY = 1 << 20;

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '5000' },
  },
});
const version = process.env.VERSION ?? 'unknown';
let leaving = false;

function answer(response, status, body) {
  response.writeHead(status, {
    'X-Websample-Version': version,
    'Content-Length': Buffer.byteLength(body),
    // close() spares a connection that carries a request just then, and a busy client would go
    // on using it until SIGKILL.
    ...(leaving && { Connection: 'close' }),
  });
  response.end(body);
}

function echo(request, response) {
  const chunks = [];
  let length = 0;
  request.on('data', (chunk) => {
    length += chunk.length;
    // What is too large is read to its end all the same: its sender waits for an answer then.
    if (length <= LARGEST_BODY) chunks.push(chunk);
  });
  request.on('end', () => {
    if (length > LARGEST_BODY) answer(response, 413, 'the body is too large\n');
    else answer(response, 200, Buffer.concat(chunks));
  });
}

const server = http.createServer((request, response) => {
  const { method, url } = request;
  const sleep = /^\/sleep\/(\d+)$/.exec(url);
  if (url === '/echo' && method === 'POST') echo(request, response);
  else if (url === '/readiness') answer(response, leaving ? 503 : 200, `${version}\n`);
  else if (url === '/') answer(response, 200, `${version}\n`);
  else if (sleep && Number(sleep[1]) <= LONGEST_SLEEP) {
    setTimeout(() => answer(response, 200, `${version}\n`), Number(sleep[1]) * 1000);
  } else answer(response, 404, 'there is no such page\n');
});

// By default Node closes a connection after five idle seconds; a proxy in front keeps it longer.
server.keepAliveTimeout = 75_000;

function leave() {
  leaving = true;
  // Accepts no more, closes idle connections (since Node 19), waits for what is in flight; then
  // nothing is left to do, and the process ends.
  server.close();
}
process.once('SIGTERM', leave);
process.once('SIGINT', leave);

server.listen(Number(options.port), options.host);
