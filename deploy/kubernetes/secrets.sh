#!/bin/sh
# Which Secrets do the manifests name? Prints them, made of what `evolve security init DIR` made:
#
#   deploy/kubernetes/secrets.sh deploy/secrets | kubectl apply --namespace evolve --filename -
#
# Every service gets its own password only; the authority's key stays where it is.
set -eu
made=${1:?usage: secrets.sh DIR}

secret() { # NAME key=file …
  name=$1
  shift
  for part in "$@"; do set -- "$@" "--from-file=$part"; shift; done
  echo "---"
  kubectl create secret generic "$name" --namespace evolve "$@" --dry-run=client --output yaml
}

secret evolve-client-tls "ca.crt=$made/ca.crt" "client.crt=$made/client.crt" "client.key=$made/client.key"
secret evolve-valkey "ca.crt=$made/ca.crt" "client.crt=$made/client.crt" "client.key=$made/client.key" \
  "server.crt=$made/server.crt" "server.key=$made/server.key" "users.acl=$made/users.acl" "valkey.conf=$made/valkey.conf"
secret evolve-postgres "server.crt=$made/server.crt" "server.key=$made/server.key" "password=$made/passwords/postgres"
for file in "$made"/passwords/*; do
  user=$(basename "$file")
  case $user in
    postgres | scaler) ;;
    *) secret "evolve-$(printf %s "$user" | tr _ -)" "password=$file" ;;
  esac
done
echo "---"
kubectl create secret generic evolve-scaler --namespace evolve --from-literal=username=scaler \
  --from-file="password=$made/passwords/scaler" --dry-run=client --output yaml
# By a file: a literal would stand in the list of processes. mktemp's, whose name nobody can know beforehand, and only its owner reads it.
address=$(mktemp)
trap 'rm -f "$address"' EXIT
printf %s "postgresql+psycopg://evolve:$(cat "$made/passwords/postgres")@postgres/evolve?sslmode=verify-full&sslrootcert=/run/evolve/ca.crt" >"$address"
secret evolve-database "url=$address"
