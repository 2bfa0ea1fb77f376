package app

import (
	"path/filepath"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/internal/private"
	"menshen/repository"
)

// closeFiles closes what is open to other users: the database and its files, and the
// files of data_dir and of the key folder. What cannot be closed is only logged: mounted
// secrets often belong to another user.
func closeFiles(cfg *config.Config, log *zap.Logger) {
	var found private.Findings
	if cfg.Database.Driver == config.DriverSQLite {
		file := repository.SQLiteFile(cfg.DatabaseDSN())
		if target, err := filepath.EvalSymlinks(file); err == nil {
			file = target // its -wal and -shm are beside it
		}
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".migrate"} {
			found.CloseFile(file + suffix)
		}
	}
	found.CloseFolder(cfg.DataDir)
	if cfg.KeyDir() != cfg.DataDir {
		found.CloseFolder(cfg.KeyDir())
	}
	if len(found.Closed) > 0 {
		log.Warn("these were open to other users and are closed now: files have mode 0600, folders 0700", zap.Strings("paths", found.Closed))
	}
	if len(found.Open) > 0 {
		log.Warn("these are open to other users, and are not this process's to close", zap.Strings("paths", found.Open))
	}
}
