package service

import (
	"context"
	stdjson "encoding/json"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
)

// furtherClaims returns the configured claims about a user as the token's issuer takes
// them. It reads the user only if there are any.
func (s *Sessions) furtherClaims(ctx context.Context, userID int64) ([]byte, error) {
	if len(s.Claims) == 0 {
		return nil, nil
	}
	user, err := s.Users.ByID(ctx, userID)
	if err != nil {
		return nil, err
	}
	return claimMembers(s.Claims, user)
}

// claimMembers returns the claims as members of an object, each behind a comma. Strings,
// numbers and booleans are claims as they are; any other value is none.
func claimMembers(sources []model.ClaimSource, user model.User) (text []byte, err error) {
	var metadata map[string]jsontext.Value
	if user.Metadata != nil {
		if err := json.Unmarshal(user.Metadata, &metadata); err != nil {
			return nil, err
		}
	}
	for _, source := range sources {
		value := metadata[source.Member]
		if source.Member == "" {
			value = nil
			if user.ExternalID != nil {
				value, _ = json.Marshal(*user.ExternalID) // valid UTF-8 always marshals
			}
		}
		switch value.Kind() {
		case '"', '0', 't', 'f':
		default:
			continue
		}
		escaped, err := stdjson.Marshal(stdjson.RawMessage(value)) // as it is in the token
		if err != nil {
			return nil, err
		}
		if source.Member != "" && len(escaped) > source.Longest {
			continue
		}
		name, _ := json.Marshal(source.Name)
		text = append(append(append(append(text, ','), name...), ':'), escaped...)
	}
	return text, nil
}
