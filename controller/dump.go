package controller

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
	"menshen/service"
)

// dumpView is a line of "menshen export": the columns of "menshen import".
type dumpView struct {
	CompanyType int32          `json:"companyType"`
	Mobile      string         `json:"mobile"` // E.164, in clear
	NickName    string         `json:"nickName"`
	RealName    string         `json:"realName"`
	AvatarURL   string         `json:"avatarUrl"`
	Source      string         `json:"source"`
	ExternalID  *string        `json:"externalId"`
	Metadata    jsontext.Value `json:"metadata"`
	CreatedAt   model.Time     `json:"createdAt"`
}

// DumpTo returns what writes accounts as JSON lines.
func DumpTo(lines *json.Encoder) func(service.Dumped) error {
	return func(d service.Dumped) error {
		u := d.User
		return lines.Encode(dumpView{
			CompanyType: u.CompanyType, Mobile: d.Mobile.E164(), NickName: u.NickName, RealName: u.RealName, AvatarURL: u.AvatarURL,
			Source: u.FirstSource, ExternalID: u.ExternalID, Metadata: viewMetadata(u), CreatedAt: u.CreatedAt,
		})
	}
}

// viewMetadata is the metadata of a user, which is an object always.
func viewMetadata(u model.User) jsontext.Value {
	if u.Metadata == nil {
		return jsontext.Value("{}")
	}
	return u.Metadata
}
