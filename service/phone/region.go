package phone

import (
	"github.com/nyaruka/phonenumbers"

	"menshen/model"
)

// Region returns the ISO 3166 region of a number, "" if it has none.
func (n Numbers) Region(m model.Mobile) string {
	if _, ok := chinese(m.E164()); ok {
		return regionChina
	}
	number, err := phonenumbers.Parse(m.E164(), phonenumbers.UNKNOWN_REGION)
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(number)
}
