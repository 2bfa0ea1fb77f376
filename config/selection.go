package config

import (
	"slices"
	"strconv"
	"strings"
)

// selection is a set of messages: all combinations of one value of each dimension.
type selection [5][]string

// The dimensions of a selection, and their names.
const (
	dimensionCompany = iota
	dimensionProduct
	dimensionRegion
	dimensionPurpose
	dimensionLanguage
)

var dimensions = [len(selection{})]string{"company", "product", "region", "purpose", "language"}

// mainland is the region of China's own messages: Hong Kong, Macao and Taiwan have others.
const mainland = "CN"

// selection returns the messages that the template fits. An empty dimension stands for
// all values.
func (t Template) selection() selection {
	s := selection{texts(t.Companies), texts(t.Products), t.Regions, t.Purposes, t.Languages}
	if slices.Contains(t.Regions, AnyRegion) {
		s[dimensionRegion] = nil
	}
	return s
}

func texts(numbers []int32) (list []string) {
	for _, n := range numbers {
		list = append(list, strconv.Itoa(int(n)))
	}
	return list
}

// split returns what of s the other one contains, and the rest in disjoint parts.
func (s selection) split(other selection) (inside selection, found bool, rest []selection) {
	inside = s
	for d := range s {
		var in, out []string
		for _, value := range s[d] {
			if allows(other[d], value) {
				in = append(in, value)
			} else {
				out = append(out, value)
			}
		}
		if len(in) == 0 {
			return selection{}, false, []selection{s}
		}
		if len(out) > 0 {
			part := inside
			part[d] = out
			rest = append(rest, part)
		}
		inside[d] = in
	}
	return inside, true, rest
}

// String names the messages: company 0/1, product 0, region HK, …
func (s selection) String() string {
	var parts [len(s)]string
	for d, values := range s {
		parts[d] = dimensions[d] + " " + strings.Join(values, "/")
	}
	return strings.Join(parts[:], ", ")
}

// messages returns those that the provider may be asked for.
func (c *Config) messages(provider string) selection {
	s := selection{dimensionRegion: c.SMS.regionsOf(provider), dimensionPurpose: purposes, dimensionLanguage: Languages}
	for _, company := range c.Companies {
		s[dimensionCompany] = append(s[dimensionCompany], strconv.Itoa(int(company.Type)))
	}
	for _, product := range c.Products {
		s[dimensionProduct] = append(s[dimensionProduct], strconv.Itoa(int(product.Type)))
	}
	return s
}

// distribute returns by the index of each template the messages that it is used for, and
// those of the provider that no template fits.
func (c *Config) distribute(provider string) (used [][]selection, missing []selection) {
	used, missing = make([][]selection, len(c.SMS.Templates)), []selection{c.messages(provider)}
	for i, t := range c.SMS.Templates {
		if t.Provider != provider {
			continue
		}
		var left []selection
		for _, part := range missing {
			inside, found, rest := part.split(t.selection())
			if found {
				used[i] = append(used[i], inside)
			}
			left = append(left, rest...)
		}
		missing = left
	}
	return used, missing
}

// productsOf returns the products for which template i is used, in any language if it is
// "". If it is used for none, they are those that it fits.
func (c *Config) productsOf(i int, language string) (list []Product) {
	t := c.SMS.Templates[i]
	used, _ := c.distribute(t.Provider)
	for _, p := range c.Products {
		if slices.ContainsFunc(used[i], func(s selection) bool {
			return slices.Contains(s[dimensionProduct], strconv.Itoa(int(p.Type))) && (language == "" || slices.Contains(s[dimensionLanguage], language))
		}) {
			list = append(list, p)
		}
	}
	if len(list) > 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(c.Products), func(p Product) bool { return !allows(t.Products, p.Type) })
}
