#!/bin/sh
# Makes the certificates in this folder, which only tests use: an authority, a node signed by it, and a stranger
# signed by an authority of its own. Valid from 2020 to 2120, whatever the clock of a test machine says; the keys
# are public and protect nothing. Needs OpenSSL 3. Run it in this folder to replace them all.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/ca.cnf" <<CONFIG
[ca]
default_ca = test
[test]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = names
unique_subject = no
[names]
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[node]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = IP:127.0.0.1,DNS:localhost
CONFIG
: >"$work/index.txt"

issue() { # <name> <kind> <option that names the signer>...
  name=$1
  kind=$2
  shift 2
  openssl req -new -key "$name.key.pem" -subj "/CN=$name" -out "$work/$name.csr"
  openssl ca -batch -notext -config "$work/ca.cnf" -extensions "$kind" \
    -startdate 20200101000000Z -enddate 21200101000000Z -in "$work/$name.csr" -out "$name.pem" "$@"
}

for name in authority strange-authority node stranger; do
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.key.pem"
done
for name in authority strange-authority; do
  issue "$name" authority -selfsign -keyfile "$name.key.pem"
done
issue node node -cert authority.pem -keyfile authority.key.pem
issue stranger node -cert strange-authority.pem -keyfile strange-authority.key.pem
rm authority.key.pem strange-authority.key.pem
