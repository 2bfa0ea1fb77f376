package model

import "time"

// Company is a tenant.
type Company struct {
	Type   int32
	Closed bool // registration is closed: unknown numbers cannot log in
}

// Product is an application. Products of one group share the limit of sessions.
type Product struct {
	Type        int32
	Group       string
	MaxSessions int
	Reject      bool // at the limit, refuse the new login instead of displacing an old session
	AccessTTL   time.Duration
	RefreshTTL  time.Duration
	Domain      string // host to which messages bind a code; "" if it has none
	AppHash     string // of its Android app; "" if it has none
}

// Catalog lists the tenants and the applications of the deployment.
type Catalog struct {
	Companies []Company
	Products  []Product
}

// Company returns the tenant of type t; false if there is none.
func (c Catalog) Company(t int32) (Company, bool) {
	for _, company := range c.Companies {
		if company.Type == t {
			return company, true
		}
	}
	return Company{}, false
}

// Product returns the application of type t; false if there is none.
func (c Catalog) Product(t int32) (Product, bool) {
	for _, product := range c.Products {
		if product.Type == t {
			return product, true
		}
	}
	return Product{}, false
}

// Find returns the company and the product. It returns ErrMalformed, with the
// unknown ones as fields, if either is unknown.
func (c Catalog) Find(companyType, productType int32) (Company, Product, error) {
	company, knownCompany := c.Company(companyType)
	product, knownProduct := c.Product(productType)
	var problems []FieldProblem
	if !knownCompany {
		problems = append(problems, FieldProblem{Field: "companyType", Reason: ReasonUnknown})
	}
	if !knownProduct {
		problems = append(problems, FieldProblem{Field: "productType", Reason: ReasonUnknown})
	}
	if problems != nil {
		return company, product, Malformed(problems...)
	}
	return company, product, nil
}
