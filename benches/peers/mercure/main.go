// Mercure's hub as its own library serves it: Bolt for the history, JWTs for publishers and subscribers, all else as it
// comes. Without Caddy around it, which would only cost it more. Measured beside the service by make bench.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/dunglas/mercure"
	"go.uber.org/zap"
)

func main() {
	key := []byte(os.Getenv("HUB_JWT_KEY"))
	// No line for each subscriber that comes and goes.
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(zap.ErrorLevel)
	logger := must(config.Build())
	history := must(mercure.NewBoltTransport(logger, os.Getenv("HUB_DATABASE"), "", 0, mercure.BoltDefaultCleanupFrequency))
	// No topic here is a template, so a cache of what templates match would only cost time.
	selectors := must(mercure.NewTopicSelectorStoreLRU(0, 0))
	hub := must(mercure.NewHub(
		mercure.WithLogger(logger),
		mercure.WithTransport(history),
		mercure.WithTopicSelectorStore(selectors),
		mercure.WithPublisherJWT(key, "HS256"),
		mercure.WithSubscriberJWT(key, "HS256"),
	))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, hub))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
