package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// connection speaks HTTP/1.1 with as little work as can be, because the client
// shares the cores with what it measures: it writes bytes that were made before,
// and reads an answer with a Content-Length.
type connection struct {
	net.Conn
	buffer [16 << 10]byte
}

// answer is good until the next exchange.
type answer struct {
	status int
	head   []byte
	body   []byte
}

// patience bounds what a client waits for beyond the time of its round.
const patience = 30 * time.Second

func dial(ctx context.Context, addr string) (*connection, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	return &connection{Conn: conn}, err
}

var headEnd = []byte("\r\n\r\n")

// exchange writes one request and reads its answer.
func (c *connection) exchange(request []byte) (answer, error) {
	if _, err := c.Write(request); err != nil {
		return answer{}, err
	}
	filled, head := 0, 0
	for head == 0 {
		if filled == len(c.buffer) {
			return answer{}, errors.New("a head larger than the buffer")
		}
		n, err := c.Read(c.buffer[filled:])
		if err != nil {
			return answer{}, err
		}
		filled += n
		if end := bytes.Index(c.buffer[:filled], headEnd); end >= 0 {
			head = end + len(headEnd)
		}
	}
	a := answer{head: c.buffer[:head]}
	length, err := a.parseHead()
	if err != nil {
		return answer{}, err
	}
	if head+length > len(c.buffer) {
		return answer{}, errors.New("an answer larger than the buffer")
	}
	for filled < head+length {
		n, err := c.Read(c.buffer[filled:])
		if err != nil {
			return answer{}, err
		}
		filled += n
	}
	a.body = c.buffer[head : head+length]
	return a, nil
}

var lengthName = []byte("\r\nContent-Length: ")

// parseHead finds the status and returns the length of the body.
func (a *answer) parseHead() (length int, err error) {
	if len(a.head) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("no HTTP: %q", a.head)
	}
	if a.status, err = strconv.Atoi(string(a.head[9:12])); err != nil {
		return 0, fmt.Errorf("no status: %q", a.head)
	}
	_, rest, found := bytes.Cut(a.head, lengthName)
	end := bytes.IndexByte(rest, '\r')
	if !found || end < 0 {
		return 0, fmt.Errorf("no Content-Length: %q", a.head)
	}
	length, err = strconv.Atoi(string(rest[:end]))
	if err != nil || length < 0 {
		return 0, fmt.Errorf("no Content-Length: %q", a.head)
	}
	return length, nil
}

// get and post are whole requests. Their headers are what a client sends.
func get(path, bearer string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: menshen\r\nUser-Agent: load\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\n\r\n", path, bearer)
}

func post(path string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: menshen\r\nUser-Agent: load\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// want200 is what every answer of a round must be.
func want200(a answer) error {
	if a.status != 200 {
		return fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return nil
}
