// Mints a ticket for one page: go run ticket.go MERCHANT ORDER SUB, with the shared secret in TICKET_SECRET.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

const (
	ttl            = 15 * time.Minute
	secretBytesMin = 32
)

// mint makes a JWT by HMAC-SHA256. sub is the payer: openid or user id. For several orders order_id is an array, of at most 20.
func mint(secret []byte, merchant, order, sub string) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"aud":         "payment-notifier",
		"merchant_id": merchant,
		"order_id":    order,
		"sub":         sub,
		"exp":         time.Now().Add(ttl).Unix(),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil)), nil
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}

func main() {
	secret := []byte(os.Getenv("TICKET_SECRET"))
	if len(os.Args) != 4 {
		fail("usage: go run ticket.go MERCHANT ORDER SUB")
	}
	if len(secret) < secretBytesMin {
		fail(fmt.Sprintf("TICKET_SECRET must have at least %d bytes", secretBytesMin))
	}
	ticket, err := mint(secret, os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fail(err)
	}
	fmt.Println(ticket)
}
