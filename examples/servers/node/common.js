// What the servers for scripts/servers share: their command line and their answers.
'use strict';

const { setTimeout: wait } = require('node:timers/promises');
const { parseArgs } = require('node:util');

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '5000' },
    best: { type: 'boolean', default: false },
  },
});
const version = process.env.VERSION ?? 'unknown';

// Longer than a proxy needs to hear that the pod is leaving.
const LEAVING_FOR = 5_000;
let leaving = false;

// GET / answers at once, GET /sleep/N after N seconds. GET /leave is for the preStop hook: from
// then on every answer says `Connection: close`, so that clients leave by themselves while the
// server still accepts.
async function handle(request, response) {
  const sleep = /^\/sleep\/([\d.]+)$/.exec(request.url);
  if (sleep) await wait(Math.min(Number(sleep[1]), 60) * 1000);
  if (request.url === '/leave') {
    leaving = true;
    await wait(LEAVING_FOR);
  }
  if (leaving) response.setHeader('Connection', 'close');
  response.end(version);
}

module.exports = { LEAVING_FOR, handle, options, port: Number(options.port), version, wait };
