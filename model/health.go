package model

// Check is what doctor found out about one thing.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`     // true too if doctor could not look
	Detail string `json:"detail"` // never a secret
}

// Instance is a process of the deployment that runs, or ran a moment ago.
type Instance struct {
	ID        string `json:"id"` // another one after each start
	Version   string `json:"version"`
	StartedAt Time   `json:"startedAt"`
	SeenAt    Time   `json:"seenAt"` // its last sign of life
}

// SigningKey is what operators see of a key that signs tokens.
type SigningKey struct {
	ID        string `json:"kid"`
	Algorithm string `json:"algorithm"`
	CreatedAt Time   `json:"createdAt"`
	Signs     bool   `json:"signs"` // the others only verify
}

// DatabaseState is what operators see of the database.
type DatabaseState struct {
	Driver  string `json:"driver"`
	Version string `json:"version"` // as the server names it; "" if it does not answer
	OK      bool   `json:"ok"`
}

// VendorOutcome counts a vendor's messages in one state.
type VendorOutcome struct {
	Provider string
	State    MessageState
	Count    int64
}
