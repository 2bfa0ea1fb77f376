package controller

import (
	"strings"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// The headers of tickets and device credentials, in requests and in responses.
const (
	ticketHeader     = "X-Code-Ticket"
	credentialHeader = "X-Device-Credential"
)

// Bounds of the headers' values, in bytes.
const (
	maxTicket     = 64
	maxCredential = 256
)

// onlyHeader returns the header's value, "" if it is missing, repeated or longer than
// limit.
func onlyHeader(c *gin.Context, name string, limit int) model.Secret {
	values := c.Request.Header[name]
	if len(values) != 1 || len(values[0]) > limit {
		return ""
	}
	return model.Secret(values[0])
}

// ticketOf returns the ticket of a request that takes one.
func ticketOf(c *gin.Context) model.Secret { return onlyHeader(c, ticketHeader, maxTicket) }

// ticketsOf returns the tickets of a request that takes two, in one line.
func ticketsOf(c *gin.Context) []model.Secret {
	first, second, _ := strings.Cut(string(onlyHeader(c, ticketHeader, 2*maxTicket+8)), ",")
	return []model.Secret{model.Secret(strings.Trim(first, " \t")), model.Secret(strings.Trim(second, " \t"))}
}

// credentialOf returns the device credential of a request.
func credentialOf(c *gin.Context) model.Secret { return onlyHeader(c, credentialHeader, maxCredential) }
