// Publishes one payment result and ends well only when RabbitMQ has it in a queue.
//
// usage: go run publish.go MERCHANT ORDER STATUS        (go get github.com/rabbitmq/amqp091-go)
// AMQP_URL, EXCHANGE and ROUTING_KEY in the environment say where to.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const deadline = 10 * time.Second

type object map[string]any

// cloudEvent makes a CloudEvent in the structured form: everything is in the body.
func cloudEvent(id, merchant, order, status string) object {
	return object{
		"specversion": "1.0",
		"id":          id,
		"source":      "/merchants/" + merchant,
		"type":        "payment.result",
		// When it happened at the payment provider.
		"time":            time.Now().UTC().Format(time.RFC3339Nano),
		"datacontenttype": "application/json",
		"data": object{
			"merchant_id": merchant,
			"order_id":    order,
			"status":      status,
			"amount":      object{"value": 1999, "currency": "CNY"}, // minor units: 19.99 yuan
			"provider":    "example",
		},
	}
}

func publish(id, merchant, order, status string) error {
	body, err := json.Marshal(cloudEvent(id, merchant, order, status))
	if err != nil {
		return err
	}
	url := setting("AMQP_URL", "amqp://127.0.0.1/")
	if _, err := amqp.ParseURI(url); err != nil {
		// The error itself would tell the password.
		return errors.New("AMQP_URL is not an AMQP address")
	}
	connection, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat: deadline, Dial: amqp.DefaultDial(deadline),
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := channel.Confirm(false); err != nil {
		return err
	}
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))

	// The first flag is mandatory: that no queue takes it is an error.
	exchange, key := setting("EXCHANGE", "payments"), setting("ROUTING_KEY", "payment.result.example")
	err = channel.PublishWithContext(context.Background(), exchange, key, true, false, amqp.Publishing{
		ContentType:  "application/cloudevents+json",
		DeliveryMode: amqp.Persistent,
		MessageId:    id,
		Body:         body,
	})
	if err != nil {
		return err
	}
	confirm, open := <-confirms
	if !open {
		return <-closed
	}
	// What comes back comes before its confirm, which is positive all the same.
	if len(returns) > 0 {
		return errors.New("no queue is bound for it")
	}
	if !confirm.Ack {
		return errors.New("RabbitMQ did not confirm it")
	}
	return nil
}

// inTime gives up what has not ended by the deadline: the library waits without limit, for the answer to its close too.
func inTime(work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-time.After(deadline):
		return fmt.Errorf("no confirm in %v", deadline)
	}
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// newID makes the id of an event. Whoever sends it again, after a crash, say, sends the same id, and it counts once.
func newID() (string, error) {
	random := make([]byte, 16)
	_, err := rand.Read(random)
	return hex.EncodeToString(random), err
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: go run publish.go MERCHANT ORDER STATUS")
		os.Exit(1)
	}
	id, err := newID()
	if err == nil {
		err = inTime(func() error { return publish(id, os.Args[1], os.Args[2], os.Args[3]) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "not published:", err)
		os.Exit(1)
	}
	fmt.Printf("published %s; look: scripts/pn order show %s %s\n", id, os.Args[1], os.Args[2])
}
