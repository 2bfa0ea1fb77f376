package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// revocations knows the sessions that have ended while their tokens have not.
type revocations struct {
	url, id, secret string
	cursor          string

	mu  sync.RWMutex
	exp map[string]time.Time // of the last token, by sid
}

// followRevocations reads the feed from its beginning and then follows it until
// ctx ends. It returns once the beginning has been read, so that nobody is let in
// before.
func followRevocations(ctx context.Context, url, id, secret string) (*revocations, error) {
	r := &revocations{url: url, id: id, secret: secret, exp: map[string]time.Time{}}
	for {
		n, err := r.read(ctx, 0)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			go r.follow(ctx)
			return r, nil
		}
	}
}

func (r *revocations) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := r.read(ctx, 25); err != nil {
			log.Print(err) // and watch this: until it is well again, ends are not heard
			time.Sleep(time.Second)
		}
		r.forget(time.Now().Add(-time.Minute)) // clocks differ
	}
}

// read requests the revocations after the cursor, waits up to wait seconds for them,
// and returns their number.
func (r *revocations) read(ctx context.Context, wait int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(wait+10)*time.Second)
	defer cancel()
	query := url.Values{"since": {r.cursor}, "wait": {fmt.Sprint(wait)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"?"+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(r.id, r.secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct {
		Code int
		Data struct {
			Items []struct {
				Sid string
				Exp time.Time
			}
			Next string
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Code == 40000 { // unknown cursor, as after a restored backup: start over
		r.cursor = ""
	}
	if answer.Code != 0 {
		return 0, fmt.Errorf("the revocation feed answers %d", answer.Code)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, item := range answer.Data.Items {
		r.exp[item.Sid] = item.Exp
	}
	r.cursor = answer.Data.Next
	return len(answer.Data.Items), nil
}

// ended reports whether the session is known to have ended.
func (r *revocations) ended(sid string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ended := r.exp[sid]
	return ended
}

func (r *revocations) forget(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for sid, exp := range r.exp {
		if exp.Before(before) {
			delete(r.exp, sid)
		}
	}
}
