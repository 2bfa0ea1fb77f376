package service

// Shield is a cheap limit in this process, taken before any work on the
// database: model.ErrTooMany when key has used up its share. The nil Shield
// lets everything pass.
type Shield func(key string) error

func (s Shield) take(key string) error {
	if s == nil {
		return nil
	}
	return s(key)
}
