// The application of examples/rolling for Node.js: it answers with the id of its process.
const http = require('http');

const server = http.createServer((request, response) => {
  const body = `${process.pid}\n`;
  response.writeHead(200, {'content-type': 'text/plain', 'content-length': body.length});
  response.end(body);
});
server.listen(process.env.ADDRESS);

// What pm2 sends: no more connections, finish the requests, close what is idle.
process.on('SIGINT', () => server.close(() => process.exit(0)));
