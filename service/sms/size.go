package sms

import (
	"strings"
	"unicode/utf16"
)

// Encoding is how the characters of a message are sent.
type Encoding string

// The encodings of 3GPP TS 23.038.
const (
	GSM7 Encoding = "GSM-7" // 7 bits a character
	UCS2 Encoding = "UCS-2" // 16 bits a character, 32 for one outside the basic plane
)

// Size is what a text takes as a message. Vendors charge each segment.
type Size struct {
	Encoding Encoding
	Segments int
}

// Characters of the GSM 7 bit default alphabet, and of its extension, which take two
// places each.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtension = "\f^{}\\[~]|€"
)

// SizeOf returns the size of a text. One that fits no single message is sent in segments,
// each of which loses room to a header; no character is divided.
func SizeOf(text string) Size {
	if widths, ok := gsmWidths(text); ok {
		return Size{GSM7, segments(widths, 160, 153)}
	}
	var widths []int
	for _, character := range text {
		widths = append(widths, utf16.RuneLen(character))
	}
	return Size{UCS2, segments(widths, 70, 67)}
}

// gsmWidths returns the places that each character takes; false if one is not in the
// alphabet.
func gsmWidths(text string) (widths []int, ok bool) {
	for _, character := range text {
		switch {
		case strings.ContainsRune(gsmBasic, character):
			widths = append(widths, 1)
		case strings.ContainsRune(gsmExtension, character):
			widths = append(widths, 2)
		default:
			return nil, false
		}
	}
	return widths, true
}

// segments counts those of characters that take widths places. single is the room of a
// message of one segment, part that of each one of several.
func segments(widths []int, single, part int) int {
	total, count, used := 0, 1, 0
	for _, width := range widths {
		total += width
		if used+width > part {
			count, used = count+1, 0
		}
		used += width
	}
	if total <= single {
		return 1
	}
	return count
}
