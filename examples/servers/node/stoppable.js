// stoppable: stop() on SIGTERM.
'use strict';

const http = require('node:http');
const stoppable = require('stoppable');
const { handle, options, port } = require('./common.js');

const server = stoppable(http.createServer(handle));
server.listen(port, options.host);
process.once('SIGTERM', () => server.stop());
