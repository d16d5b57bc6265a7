// Bento with what relay.yaml needs and nothing else; the whole of it, from its releases, will do as well. In a folder of its own:
// go mod init bento && go get github.com/warpstreamlabs/bento@v1.8.2 && go mod tidy && go build
package main

import (
	"context"

	"github.com/warpstreamlabs/bento/public/service"

	_ "github.com/warpstreamlabs/bento/public/components/amqp09"
	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
)

func main() { service.RunCLI(context.Background()) }
