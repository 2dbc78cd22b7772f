// fastify, with close() on SIGTERM. --best lets it answer while it closes, instead of with 503.
'use strict';

const fastify = require('fastify');
const { options, port, version, wait } = require('./common.js');

const app = fastify({ return503OnClosing: !options.best });
app.get('/', async () => version);
app.get('/sleep/:seconds', async (request) => {
  await wait(Math.min(Number(request.params.seconds), 60) * 1000);
  return version;
});
app.listen({ host: options.host, port });
process.once('SIGTERM', () => app.close());
