package cli

import "testing"

// TestReadyURL: an unspecified address means the loopback.
func TestReadyURL(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "http://127.0.0.1:8080/readyz", "0.0.0.0:80": "http://127.0.0.1:80/readyz", "[::]:8080": "http://[::1]:8080/readyz",
		"10.1.2.3:8080": "http://10.1.2.3:8080/readyz", "[::1]:8080": "http://[::1]:8080/readyz", "localhost:8080": "http://localhost:8080/readyz",
	} {
		if got, err := readyURL(addr); got != want || err != nil {
			t.Errorf("%s is asked at %s, error %v", addr, got, err)
		}
	}
}
