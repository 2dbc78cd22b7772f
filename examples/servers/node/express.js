// express, with close() on SIGTERM as its guide has it. The preStop hook that helps it is GET /leave
// (common.js).
'use strict';

const express = require('express');
const { handle, options, port } = require('./common.js');

const app = express();
app.get(['/', '/sleep/:seconds', '/leave'], handle);

const server = app.listen(port, options.host);
process.once('SIGTERM', () => server.close());
