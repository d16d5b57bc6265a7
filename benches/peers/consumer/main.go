// From RabbitMQ to the HTTP API of a hub, as a team writes it that takes care of its CPU: several requests in flight over
// kept connections, a message acknowledged once the hub has accepted it, acknowledgements together. No store, no retries: it
// ends at the first thing that goes wrong. Measured beside the service by make bench.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	queue    = "payment-notifier.results"
	prefetch = 300
)

// What a message is about, as far as a hub has to know it.
type result struct {
	order string
	body  []byte
}

// A request to the hub: the messages of it, and when it is done.
type request struct {
	results []result
	lastTag uint64
	done    chan struct{}
}

func main() {
	hub := hubs[os.Getenv("HUB")]
	if hub == nil {
		log.Fatal("HUB is not one that is known")
	}
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConns: hub.inFlight(), MaxIdleConnsPerHost: hub.inFlight()},
		Timeout:   30 * time.Second,
	}
	connection := must(amqp.Dial(os.Getenv("AMQP_URL")))
	channel := must(connection.Channel())
	check(channel.Qos(prefetch, 0, false))
	deliveries := must(channel.Consume(queue, "bench", false, false, false, false, nil))

	requests := make(chan *request)
	for range hub.inFlight() {
		go func() {
			for next := range requests {
				check(hub.publish(client, next.results))
				close(next.done)
			}
		}()
	}
	// Never more than the prefetch.
	inOrder := make(chan *request, prefetch)
	go settle(channel, inOrder)
	fmt.Println("consuming")
	for delivery := range deliveries {
		next := gather(delivery, deliveries, hub.together())
		inOrder <- next
		requests <- next
	}
	log.Fatal("the broker ended the consumer")
}

// What has come already, up to a limit; it waits for nothing.
func gather(delivery amqp.Delivery, more <-chan amqp.Delivery, most int) *request {
	next := &request{done: make(chan struct{})}
	for {
		next.results = append(next.results, result{orderOf(delivery.Body), delivery.Body})
		next.lastTag = delivery.DeliveryTag
		if len(next.results) == most {
			return next
		}
		var ok bool
		select {
		case delivery, ok = <-more:
			if !ok {
				return next
			}
		default:
			return next
		}
	}
}

func orderOf(body []byte) string {
	var fields struct {
		OrderID string `json:"order_id"`
	}
	check(json.Unmarshal(body, &fields))
	return fields.OrderID
}

// Acknowledges what the hub has accepted: once the oldest is done, together with all that follow it and are done too.
func settle(channel *amqp.Channel, inOrder <-chan *request) {
	var next *request
	for {
		if next == nil {
			next = <-inOrder
		}
		<-next.done
		last := next.lastTag
		for next = waiting(inOrder); next != nil && isDone(next); next = waiting(inOrder) {
			last = next.lastTag
		}
		check(channel.Ack(last, true))
	}
}

// The next one if there is one already.
func waiting(inOrder <-chan *request) *request {
	select {
	case next := <-inOrder:
		return next
	default:
		return nil
	}
}

func isDone(request *request) bool {
	select {
	case <-request.done:
		return true
	default:
		return false
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
