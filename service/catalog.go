package service

import (
	"time"

	"menshen/model"
)

// Company is a tenant.
type Company struct {
	Type   int32
	Closed bool // registration is closed: unknown numbers can't log in
}

// Product is a kind of client. Products of one group share their sessions' places.
type Product struct {
	Type        int32
	Group       string
	MaxSessions int
	Reject      bool // at the limit refuse the new login rather than displace an old one
	AccessTTL   time.Duration
	RefreshTTL  time.Duration
}

// Catalog is what the deployment serves.
type Catalog struct {
	Companies []Company
	Products  []Product
}

func (c Catalog) company(t int32) (Company, bool) {
	for _, company := range c.Companies {
		if company.Type == t {
			return company, true
		}
	}
	return Company{}, false
}

func (c Catalog) product(t int32) (Product, bool) {
	for _, product := range c.Products {
		if product.Type == t {
			return product, true
		}
	}
	return Product{}, false
}

// find is the company and the product, or model.ErrMalformed that names the
// unknown ones.
func (c Catalog) find(companyType, productType int32) (Company, Product, error) {
	company, knownCompany := c.company(companyType)
	product, knownProduct := c.product(productType)
	var problems []model.FieldProblem
	if !knownCompany {
		problems = append(problems, model.FieldProblem{Field: "companyType", Reason: model.ReasonUnknown})
	}
	if !knownProduct {
		problems = append(problems, model.FieldProblem{Field: "productType", Reason: model.ReasonUnknown})
	}
	if problems != nil {
		return company, product, model.Malformed(problems...)
	}
	return company, product, nil
}
