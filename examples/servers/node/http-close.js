// node:http with close() on SIGTERM. The preStop hook that helps it is GET /leave (common.js).
'use strict';

const http = require('node:http');
const { handle, options, port } = require('./common.js');

const server = http.createServer(handle).listen(port, options.host);
process.once('SIGTERM', () => server.close());
