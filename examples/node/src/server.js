// A web server that says hello, from where, and as whom it runs.
const http = require('node:http');
const ms = require('ms');

const port = process.env.PORT || '3000';
const server = http.createServer((request, response) => {
  response.end(`hello from node, uid ${process.getuid()}\n`);
});
server.keepAliveTimeout = ms('5s');
server.listen(Number(port), () => console.log(`listening on port ${port}`));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
