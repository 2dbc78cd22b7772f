// @godaddy/terminus. --best delays the end, as its documentation has it for Kubernetes.
'use strict';

const http = require('node:http');
const { createTerminus } = require('@godaddy/terminus');
const { LEAVING_FOR, handle, options, port, wait } = require('./common.js');

const server = http.createServer(handle);
createTerminus(server, {
  signal: 'SIGTERM',
  healthChecks: { '/healthz': async () => {} },
  // What is in flight after a second would be cut by the default.
  ...(options.best && { beforeShutdown: () => wait(LEAVING_FOR), timeout: 20_000 }),
});
server.listen(port, options.host);
