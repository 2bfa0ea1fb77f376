package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a picture of lines over two axes, both logarithmic if so wanted.
type plot struct {
	title, x, y string
	logX, logY  bool
	lines       []line
}

// line is points in the order of x.
type line struct {
	name   string
	points [][2]float64
}

// Measures of the picture, in pixels.
const (
	plotWidth, plotHeight = 720, 420
	plotLeft, plotRight   = 80, 200
	plotTop, plotBottom   = 40, 60
	plotTicks             = 5
)

// colours tell lines apart for the colour-blind too (Okabe and Ito).
var colours = [...]string{"#0072B2", "#D55E00", "#56B4E9", "#E69F00"}

// svg is the picture; it needs no script and no font of its own.
func (p plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="15">%s</text>`+"\n", plotLeft, html.EscapeString(p.title))
	x := p.axis(0, p.logX, plotLeft, plotWidth-plotRight)
	y := p.axis(1, p.logY, plotHeight-plotBottom, plotTop)
	for _, value := range x.ticks() {
		at := x.place(value)
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at, plotTop, plotHeight-plotBottom, at, plotHeight-plotBottom+18, short(value))
	}
	for _, value := range y.ticks() {
		at := y.place(value)
		fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, at, plotWidth-plotRight, plotLeft-8, at+4, short(value))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (plotLeft+plotWidth-plotRight)/2, plotHeight-16, html.EscapeString(p.x))
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (plotTop+plotHeight-plotBottom)/2, html.EscapeString(p.y))
	for i, l := range p.lines {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for _, point := range l.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", x.place(point[0]), y.place(point[1]))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x.place(point[0]), y.place(point[1]), colour)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.TrimSpace(path.String()), colour)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotWidth-plotRight+12, plotTop+14+18*i, colour, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axis places values between two pixels.
type axis struct {
	low, high  float64 // values
	from, to   float64 // pixels
	logarithms bool
}

// axis covers all points in one dimension, from zero unless it is logarithmic.
func (p plot) axis(dimension int, logarithms bool, from, to float64) axis {
	a := axis{low: math.Inf(1), high: math.Inf(-1), from: from, to: to, logarithms: logarithms}
	for _, l := range p.lines {
		for _, point := range l.points {
			a.low, a.high = min(a.low, point[dimension]), max(a.high, point[dimension])
		}
	}
	if logarithms {
		a.low, a.high = math.Pow(10, math.Floor(math.Log10(a.low))), math.Pow(10, math.Ceil(math.Log10(a.high)))
		return a
	}
	step := math.Pow(10, math.Floor(math.Log10(a.high)))
	a.low, a.high = 0, math.Ceil(a.high/step)*step
	return a
}

func (a axis) place(value float64) float64 {
	low, high := a.low, a.high
	if a.logarithms {
		low, high, value = math.Log10(low), math.Log10(high), math.Log10(value)
	}
	if high == low {
		return a.from
	}
	return a.from + (a.to-a.from)*(value-low)/(high-low)
}

func (a axis) ticks() []float64 {
	var found []float64
	if a.logarithms {
		for value := a.low; value <= a.high*1.001; value *= 10 {
			found = append(found, value)
		}
		return found
	}
	for i := range plotTicks + 1 {
		found = append(found, a.high*float64(i)/plotTicks)
	}
	return found
}

// short is a number as people read it on an axis.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return fmt.Sprintf("%.3gM", value/1e6)
	case value >= 1e3:
		return fmt.Sprintf("%.3gk", value/1e3)
	}
	return fmt.Sprintf("%.3g", value)
}
