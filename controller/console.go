package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Console serves what the console shows besides users and events.
type Console struct {
	Health *service.Health
	Login  *service.Login
	Config func() any // the configuration in force, masked

	Companies, Products []Named
}

// Named is a company or a product with its name for people.
type Named struct {
	Type int32  `json:"type"`
	Name string `json:"name"`
}

type meView struct {
	Name      string     `json:"name"` // of the key
	Role      model.Role `json:"role"`
	Companies []Named    `json:"companies"` // that the key sees
	Products  []Named    `json:"products"`
}

// ShowMe is GET /admin/me.
func (h Console) ShowMe(c *gin.Context) (any, error) {
	by := operatorOf(c)
	view := meView{Name: by.Name, Role: by.Role, Companies: []Named{}, Products: h.Products}
	for _, company := range h.Companies {
		if by.Companies.Include(company.Type) {
			view.Companies = append(view.Companies, company)
		}
	}
	return view, nil
}

type deploymentView struct {
	Instances   []model.Instance    `json:"instances"`
	Database    model.DatabaseState `json:"database"`
	FollowerLag float64             `json:"followerLagSeconds"`
	Vendors     []vendorView        `json:"vendors"`
	Keys        []model.SigningKey  `json:"keys"`
	Checks      []model.Check       `json:"checks"`
}

// ShowHealth is GET /admin/health.
func (h Console) ShowHealth(c *gin.Context) (any, error) {
	r, err := h.Health.Report(c.Request.Context())
	if err != nil {
		return nil, err
	}
	return deploymentView{
		Instances: r.Instances, Database: r.Database, FollowerLag: r.Lag.Seconds(), Vendors: viewVendors(r.Vendors), Keys: r.Keys, Checks: r.Checks,
	}, nil
}

type vendorView struct {
	Provider string                       `json:"provider"`
	States   map[model.MessageState]int64 `json:"states"`
}

// viewVendors gathers the counts, which are ordered by vendor.
func viewVendors(counts []model.VendorOutcome) []vendorView {
	vendors := []vendorView{}
	for _, c := range counts {
		if n := len(vendors); n == 0 || vendors[n-1].Provider != c.Provider {
			vendors = append(vendors, vendorView{c.Provider, map[model.MessageState]int64{}})
		}
		vendors[len(vendors)-1].States[c.State] = c.Count
	}
	return vendors
}

// ShowConfig is GET /admin/config.
func (h Console) ShowConfig(*gin.Context) (any, error) { return h.Config(), nil }

type simulationView struct {
	Ends    []endingView `json:"ends"`
	Refused *int32       `json:"refused"` // the code of the failure
}

type endingView struct {
	ID     string       `json:"id"`
	Reason model.Reason `json:"reason"`
}

func viewEnding(s model.Session) endingView { return endingView{ID: s.ID, Reason: s.EndReason} }

// Simulate is POST /admin/simulate.
func (h Console) Simulate(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	id, product := body.ID("userId"), body.Int32("productType")
	device, given := body.OptionalString(fieldDevice, maxDevice)
	if problem := deviceProblem(device); given && problem != "" {
		body.Reject(fieldDevice, problem)
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	s, err := h.Login.Simulate(c.Request.Context(), operatorOf(c), service.Simulated{UserID: id, ProductType: product, DeviceNumber: device})
	if err != nil {
		return nil, err
	}
	view := simulationView{Ends: viewEach(s.Ends, viewEnding)}
	if s.Refused != nil {
		view.Refused = &s.Refused.Code
	}
	return view, nil
}
