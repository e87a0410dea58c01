#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes provider.pb.go and provider_grpc.pb.go anew. Needs protoc, of one version so that the same comes out everywhere (its number is in what
# it makes); the Go generators come by their pinned versions: protoc-gen-go by go.mod, protoc-gen-go-grpc here.
set -eu
want="libprotoc 3.21.12" # of Debian 12
got=$(protoc --version) || { echo "cannot generate: no protoc; apt-get install protobuf-compiler" >&2; exit 1; }
[ "$got" = "$want" ] || { echo "cannot generate: protoc is $got, wanted is $want" >&2; exit 1; }
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" google.golang.org/protobuf/cmd/protoc-gen-go
GOBIN=$bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
PATH=$bin:$PATH protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative provider.proto
