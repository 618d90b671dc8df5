#!/bin/sh
# Installs what Debian has of the programs of docs/recipes.md, where root runs it; else those that are
# not there are skipped. No service is started.
set -eu
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
export DEBIAN_FRONTEND=noninteractive

missing=
for pair in nginx:nginx redis-server:redis-server memcached:memcached nodejs:node puma:puma \
        php-fpm:php-fpm uwsgi-plugin-python3:uwsgi; do
    command -v "${pair#*:}" >/dev/null || [ -n "$(ls /usr/sbin/"${pair#*:}"?* 2>/dev/null)" ] ||
        missing="$missing ${pair%:*}"
done
[ -n "$missing" ] || exit 0

# Installing a package starts its service, unless this file says no.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
fi
apt-get update -qq
apt-get install -qq -y --no-install-recommends $missing >/dev/null
