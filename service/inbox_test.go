package service

import (
	"errors"
	"fmt"
	"testing"

	"menshen/model"
)

func inboxMessage(id string, mobile model.Mobile) InboxMessage {
	return InboxMessage{Message: model.Message{ID: id, Mobile: mobile}}
}

// TestInboxIsBounded: the newest messages are kept, and those of one number are found.
func TestInboxIsBounded(t *testing.T) {
	b := NewInbox()
	for i := range inboxSize + 3 {
		b.Add(inboxMessage(fmt.Sprint(i), testNumber(i%2)))
	}
	all := b.List("")
	if len(all) != inboxSize || all[0].ID != fmt.Sprint(inboxSize+2) || all[inboxSize-1].ID != "3" {
		t.Errorf("%d messages from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	if of := b.List(testNumber(0).E164()); len(of) != inboxSize/2 || of[0].ID != fmt.Sprint(inboxSize+2) {
		t.Errorf("%d messages of one number, the newest is %s", len(of), of[0].ID)
	}
	if none := b.List("+8613800138999"); none == nil || len(none) != 0 {
		t.Errorf("of another number: %v", none)
	}
}

// TestInboxFollowers: a follower gets what comes after it. One that does not read is
// dropped; no follower is accepted beyond the bound; a stop ends all.
func TestInboxFollowers(t *testing.T) {
	b := NewInbox()
	b.Add(inboxMessage("before", testNumber(0)))
	reading, leave, err := b.Follow()
	if err != nil {
		t.Fatal(err)
	}
	stuck, leaveLater, err := b.Follow()
	if err != nil {
		t.Fatal(err)
	}
	for i := range inboxBehind + 1 {
		b.Add(inboxMessage(fmt.Sprint(i), testNumber(0)))
		if m := <-reading; m.ID != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", m.ID, i)
		}
	}
	got := 0
	for range stuck {
		got++
	}
	if got != inboxBehind {
		t.Errorf("the follower that does not read got %d", got)
	}
	leaveLater()
	leave()
	leave()
	for range inboxFollowers {
		if reading, _, err = b.Follow(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Follow(); !errors.Is(err, model.ErrTooMany) {
		t.Errorf("beyond the bound: %v", err)
	}
	b.Stop()
	if _, open := <-reading; open {
		t.Error("a follower outlives the stop")
	}
	if late, _, err := b.Follow(); err != nil {
		t.Error(err)
	} else if _, open := <-late; open {
		t.Error("a follower begins after the stop")
	}
}

func testNumber(i int) model.Mobile {
	return model.NewMobile(fmt.Sprintf("+8613800138%03d", i))
}
