package controller

import (
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// exportView is all that is kept about a person.
type exportView struct {
	User     adminUserDetail     `json:"user"` // with the whole number
	Sessions []exportSessionView `json:"sessions"`
	Messages []any               `json:"messages"`
	Events   any                 `json:"events"`
}

type exportSessionView struct {
	ID           string       `json:"id"`
	ProductType  int32        `json:"productType"`
	DeviceNumber string       `json:"deviceNumber"`
	DeviceName   string       `json:"deviceName"`
	IP           string       `json:"ip"`
	Source       string       `json:"source"`
	LoginTime    model.Time   `json:"loginTime"`
	LastSeenTime model.Time   `json:"lastSeenTime"`
	EndsAt       model.Time   `json:"endsAt"`  // at the latest
	EndedAt      model.Time   `json:"endedAt"` // null: active
	Reason       model.Reason `json:"reason"`  // "": active
	By           string       `json:"by"`      // label of the newer device, or ""
}

func viewExportSession(s model.Session) exportSessionView {
	return exportSessionView{
		ID: s.ID, ProductType: s.ProductType, DeviceNumber: s.DeviceNumber, DeviceName: s.DeviceName, IP: s.IP, Source: s.Source,
		LoginTime: s.LoginAt, LastSeenTime: s.LastSeenAt, EndsAt: s.EndsAt, EndedAt: s.EndedAt, Reason: s.EndReason, By: s.EndedBy,
	}
}

// ViewExport is the view of all that is kept about a person. Commands print it too.
func ViewExport(e service.Export, now time.Time) any {
	view := exportView{
		User: viewAdminDetail(e.Person, now), Sessions: viewEach(e.Sessions, viewExportSession),
		Messages: viewEach(e.Messages, ViewMessage), Events: viewEach(e.Events, ViewEvent),
	}
	view.User.Mobile = e.Mobile
	return view
}

// Export is GET /admin/users/{id}/export.
func (h Admin) Export(c *gin.Context) (any, error) {
	id, err := service.ParseID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	export, err := h.Admin.Export(c.Request.Context(), operatorOf(c), id)
	if err != nil {
		return nil, err
	}
	return ViewExport(export, h.Admin.Now()), nil
}
