package controller

import (
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
	"menshen/service"
)

// Create is POST /admin/users.
func (h Admin) Create(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	account := service.NewAccount{
		CompanyType: body.Int32("companyType"), Mobile: body.Verbatim("mobile", maxText), Details: readChanges(body),
		ExternalID: body.optional("externalId", service.CheckExternalID), Metadata: body.optionalObject("metadata"),
	}
	if source := body.optional("source", service.CheckSource); source != nil {
		account.Source = *source
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	person, err := h.Admin.Create(c.Request.Context(), operatorOf(c), account)
	if err != nil {
		return nil, err
	}
	return ViewPerson(person, h.Admin.Now()), nil
}

// Edit is PATCH /admin/users/{id}.
func (h Admin) Edit(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	edit := service.AccountEdit{Details: readChanges(a.body), Metadata: a.body.optionalObject("metadata")}
	if edit.ClearExternalID = a.body.null("externalId"); !edit.ClearExternalID {
		edit.ExternalID = a.body.optional("externalId", service.CheckExternalID)
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	person, err := h.Admin.Edit(c.Request.Context(), a.operator, a.id, edit)
	if err != nil {
		return nil, err
	}
	return ViewPerson(person, h.Admin.Now()), nil
}

// null reports whether a member is null.
func (o *object) null(name string) bool { return o.members[name].Kind() == 'n' }

// optionalObject is a member that may be missing, nil then: a JSON object. null is not
// missing.
func (o *object) optionalObject(name string) jsontext.Value {
	value := o.members[name]
	if value != nil && value.Kind() != '{' {
		o.Reject(name, model.ReasonType)
		return nil
	}
	return value
}
