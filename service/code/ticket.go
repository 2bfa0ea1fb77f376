package code

import (
	"crypto/sha256"
	"crypto/subtle"

	"menshen/model"
	"menshen/service/random"
)

// ticketPrefix begins every ticket.
const ticketPrefix = "ct1_"

// newTicket returns a ticket, which shows that a code was sent for its bearer, and the
// hash that the database keeps.
func newTicket() (model.Secret, []byte) {
	ticket := model.Secret(ticketPrefix + random.Secret())
	return ticket, hashTicket(ticket)
}

func hashTicket(ticket model.Secret) []byte {
	hash := sha256.Sum256([]byte(ticket))
	return hash[:]
}

// bears reports whether one of the attempt's tickets is that of the code, and good at
// now.
func (a Attempt) bears(code model.Code, now model.Time) bool {
	if code.TicketHash == nil || code.UsedAt != 0 || code.DeadAt != 0 || code.ExpiresAt <= now {
		return false
	}
	good := 0
	for _, ticket := range a.Tickets {
		good |= subtle.ConstantTimeCompare(hashTicket(ticket), code.TicketHash)
	}
	return good == 1
}
