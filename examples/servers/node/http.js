// node:http as it comes: nothing is done about SIGTERM, so that it ends the process at once.
// --best closes the server on SIGTERM; the preStop hook is GET /leave (common.js).
'use strict';

const http = require('node:http');
const { handle, options, port } = require('./common.js');

const server = http.createServer(handle).listen(port, options.host);
if (options.best) process.once('SIGTERM', () => server.close());
