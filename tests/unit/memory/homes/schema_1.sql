BEGIN TRANSACTION;
CREATE TABLE answers (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            answer_id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL, question TEXT NOT NULL, document TEXT NOT NULL,
            trial_position INTEGER NOT NULL, answered_at DOUBLE PRECISION NOT NULL);
INSERT INTO "answers" VALUES(1,'abc123abc123','r1','is it?','{"a":1}',2,9.0);
CREATE TABLE decision_symbols (
            decision_id INTEGER NOT NULL REFERENCES decisions (id) ON DELETE CASCADE, symbol TEXT NOT NULL,
            PRIMARY KEY (decision_id, symbol));
CREATE TABLE decisions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            service TEXT NOT NULL, request_id TEXT NOT NULL, request_type TEXT NOT NULL, asked_by TEXT NOT NULL,
            inputs TEXT NOT NULL, outcome TEXT NOT NULL, status TEXT NOT NULL, error_code TEXT,
            data_hash TEXT, code_version TEXT NOT NULL, seed INTEGER, parent TEXT,
            started_at DOUBLE PRECISION NOT NULL, finished_at DOUBLE PRECISION NOT NULL,
            UNIQUE (service, request_id));
INSERT INTO "decisions" VALUES(1,'model_builder','r1','build_model','','{"model_type":"ridge","symbol":"AAPL"}','{"model_id":"ridge-AAPL-1d-00000000"}','success',NULL,NULL,'0.1.0+abc',NULL,NULL,100.0,101.5);
CREATE TABLE evaluations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            request_id TEXT NOT NULL, model_id TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL, evaluation TEXT NOT NULL,
            UNIQUE (request_id, model_id));
INSERT INTO "evaluations" VALUES(1,'e1','ridge-AAPL-1d-7ce2442d','AAPL','1d','{"code_version":"0.1.0+abc","evaluated_at":"2026-01-02T03:04:05Z","figures":[{"as_of":"2013-03-01","computed":"walk-forward","high":null,"id":"e1","level":null,"low":null,"name":"sharpe_ratio","note":"","of":"ridge","source":"bokeh-sampledata","unit":"ratio","value":0.5}],"model_id":"ridge-AAPL-1d-7ce2442d","overall_score":0.5,"period_days":365,"request_id":"e1","symbol":"AAPL","timeframe":"1d","trust":{"baselines":["flat","buy-and-hold"],"caveats":[],"costs":{"borrow_bps_per_year":0.0,"fee_bps":1.0,"slippage_bps":2.0},"data":{"bars":3270,"fingerprint":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff","first":"2000-03-01","last":"2013-03-01","notes":[],"simulated":false,"source":"bokeh-sampledata","status":"stale","symbol":"AAPL","timeframe":"1d"},"evidence":[],"folds":5,"ledger_position":3,"out_of_sample_bars":2700,"reason":"the interval of the Sharpe ratio holds 0","reproduce":"","trials":3,"verdict":"no_edge"}}');
CREATE TABLE models (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            model_id TEXT NOT NULL UNIQUE, recipe_hash TEXT NOT NULL, data_fingerprint TEXT NOT NULL, code_version TEXT NOT NULL,
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, model_type TEXT NOT NULL, card TEXT NOT NULL,
            weights_sha256 TEXT NOT NULL, out_of_sample_sha256 TEXT NOT NULL, request_id TEXT NOT NULL UNIQUE,
            deleted_at DOUBLE PRECISION, deleted_by TEXT);
INSERT INTO "models" VALUES(1,'ridge-AAPL-1d-7ce2442d','74b0def8c004afe725de7b62a48db2d126ead85a3d8889419f6877631f6197f0','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','0.1.0+abc','AAPL','1d','ridge','{"code_version":"0.1.0+abc","created_at":"2026-01-02T03:04:05Z","data":{"bars":3270,"fingerprint":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff","first":"2000-03-01","last":"2013-03-01","notes":[],"simulated":false,"source":"bokeh-sampledata","status":"stale","symbol":"AAPL","timeframe":"1d"},"hyperparameters_from":"","libraries":[],"metrics":[{"as_of":"2013-03-01","computed":"walk-forward","high":null,"id":"e1","level":null,"low":null,"name":"sharpe_ratio","note":"","of":"ridge","source":"bokeh-sampledata","unit":"ratio","value":0.30000000000000004}],"model_id":"ridge-AAPL-1d-7ce2442d","notes":[],"outlook":[],"parent":null,"recipe":{"embargo_bars":1,"features":["log_return_1","volatility_20"],"first_train_bars":500,"folds":5,"horizon_bars":1,"hyperparameters":{"alpha":1.0},"model_type":"ridge","period_days":null,"seed":7,"symbol":"AAPL","timeframe":"1d"},"weights_sha256":"50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326"}','50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326','28ffdb359e57219d9480ac11392a8dd30ab819a4de3e646ca5778bd5ae812da2','b1',NULL,NULL);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied_at FLOAT NOT NULL, 
	code_version TEXT NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1,5.0,'0.1.0');
CREATE TABLE trials (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            symbol TEXT NOT NULL, recipe_hash TEXT NOT NULL, data_fingerprint TEXT NOT NULL, request_id TEXT NOT NULL,
            sharpe_per_bar DOUBLE PRECISION,
            UNIQUE (symbol, recipe_hash, data_fingerprint));
INSERT INTO "trials" VALUES(1,'AAPL','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','r1',0.05);
INSERT INTO "trials" VALUES(2,'AAPL','ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','r1',NULL);
CREATE INDEX decisions_by_request ON decisions (request_id);
CREATE INDEX decisions_by_symbol ON decision_symbols (symbol, decision_id);
CREATE INDEX models_by_symbol ON models (symbol, timeframe);
CREATE INDEX models_by_recipe ON models (recipe_hash, data_fingerprint);
CREATE INDEX evaluations_by_model ON evaluations (model_id);
CREATE INDEX evaluations_by_symbol ON evaluations (symbol, timeframe);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('decisions',1);
INSERT INTO "sqlite_sequence" VALUES('trials',2);
INSERT INTO "sqlite_sequence" VALUES('answers',1);
INSERT INTO "sqlite_sequence" VALUES('models',1);
INSERT INTO "sqlite_sequence" VALUES('evaluations',1);
COMMIT;
