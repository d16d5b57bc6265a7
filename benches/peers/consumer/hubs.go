package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

type hub interface {
	// How many messages one request may carry, and how many requests are under way at once.
	together() int
	inFlight() int
	// Publishes, and returns once the hub has accepted all of it.
	publish(client *http.Client, results []result) error
}

var hubs = map[string]hub{
	"centrifugo": centrifugo{url: os.Getenv("HUB_URL") + "/api/batch", key: os.Getenv("HUB_KEY")},
	"mercure":    mercure{url: os.Getenv("HUB_URL") + "/.well-known/mercure", bearer: "Bearer " + os.Getenv("HUB_KEY")},
}

// A channel for each order, and its batch API.
type centrifugo struct{ url, key string }

func (centrifugo) together() int { return 100 }
func (centrifugo) inFlight() int { return 4 }

func (c centrifugo) publish(client *http.Client, results []result) error {
	var body bytes.Buffer
	body.WriteString(`{"commands":[`)
	for index, result := range results {
		if index > 0 {
			body.WriteByte(',')
		}
		body.WriteString(`{"publish":{"channel":"orders:`)
		body.WriteString(result.order)
		body.WriteString(`","data":`)
		body.Write(result.body)
		body.WriteString(`}}`)
	}
	body.WriteString(`]}`)
	answer, err := post(client, c.url, "application/json", &body, "X-API-Key", c.key)
	if err == nil && bytes.Contains(answer, []byte(`"error"`)) {
		err = fmt.Errorf("a publication was refused: %s", answer)
	}
	return err
}

// A topic for each order, private to whom its token names. It takes one update a request.
type mercure struct{ url, bearer string }

func (mercure) together() int { return 1 }
func (mercure) inFlight() int { return 32 }

func (m mercure) publish(client *http.Client, results []result) error {
	for _, result := range results {
		form := url.Values{"topic": {"orders/" + result.order}, "private": {"on"}, "data": {string(result.body)}}
		kind := "application/x-www-form-urlencoded"
		if _, err := post(client, m.url, kind, strings.NewReader(form.Encode()), "Authorization", m.bearer); err != nil {
			return err
		}
	}
	return nil
}

func post(client *http.Client, url, kind string, body io.Reader, header, value string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set(header, value)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, answer)
	}
	return answer, err
}
