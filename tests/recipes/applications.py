"""What the programs of docs/recipes.md run in a test: an application, or a configuration.

Each is a text with RELEASE in it, or for one that does not come up a text of its own.
"""

WSGI = """
def app(environ, start_response):
    start_response('200 OK', [('Content-Length', '%d' % len(b'RELEASE'))])
    return [b'RELEASE']
"""

# LINES are those of docs/recipes.md.
ASGI = """
import contextlib
import os
import socket


def say_ready():
LINES

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        say_ready()
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        await send({'type': 'lifespan.shutdown.complete'})
        return
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'%d' % len(b'RELEASE'))]})
    await send({'type': 'http.response.body', 'body': b'RELEASE'})
"""

BROKEN_PYTHON = "raise RuntimeError('this release is broken')\n"

NODE = """
const server = require('http').createServer((request, response) => response.end('RELEASE'));
server.listen(Number(process.argv[2]), '127.0.0.1');
LINES
"""

NODE_SHARED = NODE.replace("Number(process.argv[2]), '127.0.0.1'", '{fd: 0}')

BROKEN_NODE = "throw new Error('this release is broken');\n"

RACK = "run lambda { |environment| [200, {'Content-Type' => 'text/plain'}, ['RELEASE']] }\n"

BROKEN_RUBY = "raise 'this release is broken'\n"

NGINX = """
worker_processes 1;
pid FOLDER/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    server {
        listen 127.0.0.1:PORT;
        location / { return 200 RELEASE; }
    }
}
"""

BROKEN_NGINX = 'broken;\n'

PHP_FPM = """
[global]
pid = FOLDER/php-fpm.pid
error_log = /dev/stderr
process_control_timeout = 30
[www]
USER
listen = FOLDER/php-fpm.sock
pm = static
pm.max_children = 2
; RELEASE
"""

BROKEN_PHP_FPM = '[global]\nerror_log = /dev/stderr\n[www]\nbroken = yes\n'

REDIS = 'bind 127.0.0.1\nport PORT\ndaemonize yes\nsave ""\ndir FOLDER\n# RELEASE\n'

BROKEN_REDIS = 'this-release is-broken\n'

CELERY = """
import contextlib
import os
import socket

import celery
import celery.signals


def say_ready():
LINES

CONNECT

app = celery.Celery(broker='filesystem://')
app.conf.broker_transport_options = {
    'data_folder_in': 'FOLDER', 'data_folder_out': 'FOLDER', 'control_folder': 'FOLDER/control'}
"""

BROKEN_SHELL = '#!/bin/sh\necho broken\nexit 1\n'
