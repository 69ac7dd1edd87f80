-- fintrack: rows for an empty database at revision ffcccccc0004.
--
-- The scale comes from the setting fintrack.scale (default 1, about 100,000 rows):
--     SET fintrack.scale = '10';                  before this file, same session
--     PGOPTIONS='-c fintrack.scale=10' psql ...   from outside
--
-- Every value follows from the row's number: no random(), no now(), and nothing
-- that depends on TimeZone. Two runs give the same rows. Load it with psql -f or
-- as one multi-statement query, after (not in the same batch as) schema.sql.
--
-- Beside the plausible rows there are awkward ones on purpose: '' next to NULL,
-- tabs, newlines and backslashes, text that looks like COPY's \N and \., emoji,
-- NaN, infinity, years BC and beyond 9999, gaps in ids, self references in both
-- directions, JSON null next to SQL NULL, arrays with NULLs, two dimensions or an
-- odd lower bound, empty and 100 kB bytea.


------------------------------------------------------------------------
-- Helpers, dropped at the end
------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION pg_temp.ft_scale() RETURNS integer LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('fintrack.scale', true), ''), '1')::int $$;

-- 0 .. 2^28-1
CREATE OR REPLACE FUNCTION pg_temp.ft_h(seed text, i bigint) RETURNS integer LANGUAGE sql IMMUTABLE
    AS $$ SELECT ('x' || substr(md5($1 || $2::text), 1, 7))::bit(28)::int $$;

-- 0 <= x < below, 18 decimals
CREATE OR REPLACE FUNCTION pg_temp.ft_dec(seed text, i bigint, below integer) RETURNS numeric LANGUAGE sql IMMUTABLE
    AS $$ SELECT ((pg_temp.ft_h($1, $2) % $3)::text || '.'
                  || lpad(pg_temp.ft_h($1 || 'a', $2)::text, 9, '0')
                  || lpad(pg_temp.ft_h($1 || 'b', $2)::text, 9, '0'))::numeric $$;

-- Seconds after 2021-01-01 UTC
CREATE OR REPLACE FUNCTION pg_temp.ft_ts(seconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    AS $$ SELECT timestamptz '2021-01-01 00:00:00+00' + $1 * interval '1 second' $$;

CREATE OR REPLACE FUNCTION pg_temp.ft_pick(choices text[], n integer) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT $1[1 + $2 % array_length($1, 1)] $$;

-- Keys with gaps
CREATE OR REPLACE FUNCTION pg_temp.ft_fund_id(i bigint) RETURNS integer LANGUAGE sql IMMUTABLE
    AS $$ SELECT ($1 + $1 / 5)::int $$;
CREATE OR REPLACE FUNCTION pg_temp.ft_fund_code(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT lpad(($1 * 37)::text, 6, '0') $$;
CREATE OR REPLACE FUNCTION pg_temp.ft_plan_id(i bigint) RETURNS integer LANGUAGE sql IMMUTABLE
    AS $$ SELECT ($1 + $1 / 4)::int $$;
CREATE OR REPLACE FUNCTION pg_temp.ft_operation_id(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    AS $$ SELECT $1 + $1 / 9 $$;

CREATE OR REPLACE FUNCTION pg_temp.ft_fund_name(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT pg_temp.ft_pick(ARRAY['易方达', '华夏', '嘉实', '南方', '汇添富', '富国', '招商', '广发', '中欧', '兴全'], ($1 % 1000003)::int)
              || pg_temp.ft_pick(ARRAY['蓝筹精选', '沪深300ETF联接', '中证500指数', '医疗健康', '新能源', '消费升级', '科技创新', '纯债', '货币'], pg_temp.ft_h('fund name', $1))
              || pg_temp.ft_pick(ARRAY['混合', '股票', '债券', '指数增强'], pg_temp.ft_h('fund kind', $1))
              || pg_temp.ft_pick(ARRAY['A', 'C', '(QDII)人民币'], pg_temp.ft_h('fund share', $1)) $$;

CREATE OR REPLACE FUNCTION pg_temp.ft_note(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $f$ SELECT CASE $1 % 41
        WHEN 1 THEN ''
        WHEN 2 THEN E'date\tpayee\tamount'
        WHEN 3 THEN E'first line\nsecond line\r\nthird line\n'
        WHEN 4 THEN E'C:\\Users\\陈\\对账单\\new.pdf'
        WHEN 5 THEN E'\\N'
        WHEN 6 THEN E'\\.'
        WHEN 7 THEN E'O''Brien said "no"; DROP TABLE x; -- $$not a quote$$'
        WHEN 8 THEN '🍜 午餐 👨‍👩‍👧‍👦 🇨🇭'
        WHEN 9 THEN '  leading and trailing  '
        WHEN 10 THEN 'NULL'
        WHEN 11 THEN '{"looks": "like json"}'
        WHEN 12 THEN 'דמי ניהול — رسوم'
        WHEN 13 THEN E'cafe\u0301 ≠ café'
        WHEN 14 THEN E'control \u0001 \u0007 \u001b \u007f \b\f'
        WHEN 15 THEN repeat('很长的备注 ', 40 + ($1 % 7)::int * 100)
        WHEN 16 THEN E'\uFEFFbom, \u2028 separator, \u00A0 hard space'
        WHEN 17 THEN E'\\'
        WHEN 18 THEN E'\n'
        WHEN 19 THEN 'pipe|comma,semicolon;percent%sdollar$1colon:name'
        WHEN 20 THEN '定投第' || $1 || '期'
        WHEN 21 THEN 'rebalance #' || $1
        WHEN 22 THEN '工资理财'
        WHEN 23 THEN 'see statement ' || md5($1::text)
        END $f$;

CREATE OR REPLACE FUNCTION pg_temp.ft_json(i bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE
        WHEN $1 % 5 = 0 THEN NULL
        WHEN $1 % 97 = 1 THEN jsonb 'null'
        WHEN $1 % 97 = 2 THEN jsonb '[]'
        WHEN $1 % 97 = 3 THEN jsonb '"只是一个字符串"'
        WHEN $1 % 97 = 4 THEN jsonb '-0.10'
        WHEN $1 % 97 = 6 THEN E'{"": "empty key", "big": 123456789012345678901234567890.123450, "tiny": 1e-30, "deep": {"a": {"b": {"c": [1, [2, [3, [4, {}]]]]}}}, "esc": "tab \\t quote \\" slash \\\\ u \\u0001", "emoji": "💰", "nothing": null, "yes": true}'::jsonb
        ELSE ('{"seq": ' || $1 || ', "order": {"id": "' || md5('order' || $1) || '", "legs": [{"n": 1, "px": '
              || ($1 % 1000) || '.50}, {"n": 2, "px": null}]}, "channel": "'
              || pg_temp.ft_pick(ARRAY['app', 'web', 'api', '柜台'], ($1 % 1000003)::int) || '", "tags": ["x", "'
              || ($1 % 13) || '"]}')::jsonb
        END $$;

CREATE OR REPLACE FUNCTION pg_temp.ft_tags(i bigint) RETURNS text[] LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE $1 % 31
        WHEN 1 THEN '{}'::text[]
        WHEN 2 THEN ARRAY['a,b', '{c}', '"d"', E'e\\f', '', 'NULL', NULL]
        WHEN 3 THEN ARRAY[['长期', '核心'], ['短期', '卫星']]
        WHEN 4 THEN ARRAY[E'tab\there', E'line\nbreak', ' space ']
        WHEN 5 THEN ARRAY[NULL]::text[]
        WHEN 6 THEN ARRAY['🚀']
        ELSE ARRAY[pg_temp.ft_pick(ARRAY['长期', '短期', '养老', 'dca', 'tax'], ($1 % 1000003)::int), 'y' || (2021 + $1 % 5)]
        END $$;


------------------------------------------------------------------------
-- Configuration (its audit trigger fires)
------------------------------------------------------------------------

INSERT INTO system_config (config_key, config_value, value_json, is_secret, description, allowed_from, updated_at)
SELECT pg_temp.ft_pick(ARRAY['sync', 'notify', 'report', 'api'], i) || '.option_' || lpad(i::text, 2, '0'),
       CASE WHEN i % 3 = 0 THEN NULL WHEN i % 7 = 0 THEN '' ELSE 'value ' || i END,
       pg_temp.ft_json(i),
       i % 10 = 0,
       pg_temp.ft_note(i),
       CASE i % 4 WHEN 0 THEN inet '10.0.0.0/8' WHEN 1 THEN inet '2001:db8::1' WHEN 2 THEN inet '192.168.1.7/24' END,
       pg_temp.ft_ts(i * 86400)
  FROM generate_series(1, 40) AS i;


------------------------------------------------------------------------
-- Funds: 200 + 200 per scale
------------------------------------------------------------------------

INSERT INTO fund_info (id, fund_code, fund_name, fund_type, management_fee, purchase_fee, risk_level, tags, profile,
                       established_on, created_at, updated_at)
SELECT pg_temp.ft_fund_id(i),
       pg_temp.ft_fund_code(i),
       pg_temp.ft_fund_name(i),
       pg_temp.ft_pick(ARRAY['股票型', '债券型', '混合型', '货币型', NULL], pg_temp.ft_h('type', i)),
       (pg_temp.ft_h('mf', i) % 200) / 10000.0,
       CASE WHEN i % 11 > 0 THEN (pg_temp.ft_h('pf', i) % 150) / 10000.0 END,
       1 + pg_temp.ft_h('risk', i) % 5,
       coalesce(pg_temp.ft_tags(i), '{}'),
       pg_temp.ft_json(i),
       CASE i WHEN 7 THEN date '0044-03-15 BC' WHEN 8 THEN date '12345-06-07' WHEN 9 THEN date '-infinity'
              ELSE date '2001-09-21' + pg_temp.ft_h('est', i) % 8000 END,
       pg_temp.ft_ts(i * 60),
       pg_temp.ft_ts(i * 60 + 3600)
  FROM generate_series(1, 200 + 200 * pg_temp.ft_scale()) AS i;

INSERT INTO fund_nav (fund_code, nav_date, nav, accumulated_nav, growth_rate, source)
SELECT pg_temp.ft_fund_code(1 + k % f.n),
       date '2024-01-02' + k / f.n,
       round(0.5 + pg_temp.ft_dec('nav', k, 4), 8),
       CASE WHEN k % 17 > 0 THEN round(1.5 + pg_temp.ft_dec('nav', k, 4), 8) END,
       CASE WHEN k % 501 = 7 THEN 'NaN'::float8 WHEN k % 501 = 8 THEN '-0'::float8
            ELSE (pg_temp.ft_h('gr', k) % 2001 - 1000) / 7.0::float8 / 100 END,
       pg_temp.ft_pick(ARRAY['天天基金', 'akshare', '', NULL], pg_temp.ft_h('src', k))
  FROM (SELECT 200 + 200 * pg_temp.ft_scale() AS n) AS f,
       generate_series(0, 12000 * pg_temp.ft_scale() - 1) AS k;

INSERT INTO fund_dividend (id, fund_code, record_date, ex_date, payment_date, dividend_amount, announcement, created_at)
SELECT k + 1 + k / 6,
       pg_temp.ft_fund_code(1 + k % f.n),
       date '2020-02-28' + 91 * (k / f.n),
       date '2020-03-01' + 91 * (k / f.n),
       CASE WHEN k % 4 > 0 THEN date '2020-03-05' + 91 * (k / f.n) END,
       round(pg_temp.ft_dec('div', k, 1), 8),
       pg_temp.ft_note(k),
       pg_temp.ft_ts(k * 600)
  FROM (SELECT 200 + 200 * pg_temp.ft_scale() AS n) AS f,
       generate_series(0, 1500 * pg_temp.ft_scale() - 1) AS k;


------------------------------------------------------------------------
-- Plans: 500 per scale (their audit trigger fires)
------------------------------------------------------------------------

INSERT INTO dca_plans (id, plan_name, fund_id, platform, currency, amount, frequency, execution_time, start_date,
                       end_date, is_active, created_at, updated_at, asset_type, next_run_at, last_run_at,
                       execution_count, total_invested, smart_rules, fee_rate, exclude_dates, exclude_reasons)
SELECT pg_temp.ft_plan_id(i),
       '定投 ' || pg_temp.ft_pick(ARRAY['养老', '教育', '买房', '旅行 ✈️'], i) || ' ' || i,
       pg_temp.ft_fund_id(1 + pg_temp.ft_h('plan fund', i) % (200 + 200 * pg_temp.ft_scale())),
       pg_temp.ft_pick(ARRAY['支付宝', '天天基金', '招商银行', 'IBKR', 'OKX'], pg_temp.ft_h('plat', i)),
       pg_temp.ft_pick(ARRAY['CNY', 'CNY', 'USD', 'HKD', 'USDT'], i),
       10 + round(pg_temp.ft_dec('plan', i, 5000), 8),
       pg_temp.ft_pick(ARRAY['daily', 'weekly', 'biweekly', 'monthly'], pg_temp.ft_h('freq', i)),
       CASE WHEN i % 5 > 0 THEN time '09:30' + (i % 300) * interval '1 minute' + (i % 7) * interval '1 microsecond' END,
       date '2021-01-01' + i % 1000,
       CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN date 'infinity' ELSE date '2025-01-01' + i % 1000 END,
       i % 6 > 0,
       pg_temp.ft_ts(i * 7200),
       pg_temp.ft_ts(i * 7200 + 90),
       pg_temp.ft_pick(ARRAY['fund', 'fund', 'etf', 'crypto', 'stock'], i)::asset_class,
       CASE WHEN i % 50 = 0 THEN timestamptz 'infinity' WHEN i % 3 > 0 THEN pg_temp.ft_ts(140000000 + i * 3600) END,
       CASE WHEN i % 50 = 1 THEN timestamptz '-infinity' WHEN i % 3 > 0 THEN pg_temp.ft_ts(130000000 + i * 3600) END,
       i % 200,
       pg_temp.ft_dec('invested', i, 900000),
       pg_temp.ft_json(i),
       (i % 15) / 10000.0,
       CASE WHEN i % 3 = 0 THEN ARRAY[date '2024-02-10' + i % 5, date '2024-10-01'] ELSE '{}' END,
       CASE WHEN i % 3 = 0 THEN ARRAY['春节', NULL] END
  FROM generate_series(1, 500 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- Operations: 30,000 per scale. One statement, because reverses_id points
-- forward as well as back.
------------------------------------------------------------------------

INSERT INTO user_operations (id, operation_date, platform, asset_type, operation_type, asset_code, asset_name, currency,
                             amount, quantity, price, fee, status, strategy, emotion_score, tags, details, notes,
                             created_at, updated_at, nav, dca_plan_id, dca_execution_type, reverses_id)
SELECT pg_temp.ft_operation_id(i),
       pg_temp.ft_ts(t) + (i % 1000) * interval '1 microsecond',
       pg_temp.ft_pick(ARRAY['支付宝', '天天基金', 'Wise', 'IBKR', 'OKX', 'MetaMask'], pg_temp.ft_h('plat', i)),
       (CASE WHEN i % 6 = 0 THEN 'fund'
             ELSE pg_temp.ft_pick(ARRAY['fund', 'stock', 'etf', 'crypto', 'cash'], pg_temp.ft_h('class', i)) END)::asset_class,
       (CASE WHEN reverses IS NOT NULL THEN 'reversal'
             WHEN i % 6 = 0 THEN 'dca_buy'
             ELSE pg_temp.ft_pick(ARRAY['buy', 'buy', 'sell', 'dividend', 'transfer'], pg_temp.ft_h('kind', i)) END)::operation_type,
       CASE WHEN i % 2 = 0 THEN pg_temp.ft_fund_code(fund)
            ELSE pg_temp.ft_pick(ARRAY['AAPL', 'VOO', 'btc-usdt', 'ETH-USDT', '0700.HK', 'CASH'], pg_temp.ft_h('code', i)) END,
       CASE WHEN i % 2 = 0 THEN pg_temp.ft_fund_name(fund) WHEN i % 9 = 0 THEN '' END,
       pg_temp.ft_pick(ARRAY['CNY', 'CNY', 'CNY', 'USD', 'HKD', 'EUR', 'USDT'], pg_temp.ft_h('ccy', i)),
       CASE WHEN i % 5000 = 77 THEN 99999999999999999999.999999999999999999
            WHEN i % 5000 = 78 THEN -0.000000000000000001
            ELSE pg_temp.ft_dec('amount', i, 100000) END,
       CASE WHEN i % 7 > 0 THEN pg_temp.ft_dec('qty', i, 1000) END,
       CASE i % 8 WHEN 0 THEN NULL WHEN 1 THEN 1.500 WHEN 2 THEN 0.000000000000000000000000012345 WHEN 3 THEN 1e40
                  ELSE round(pg_temp.ft_dec('price', i, 500), (i % 19)::int) END,
       round(pg_temp.ft_dec('fee', i, 20), 8),
       pg_temp.ft_pick(ARRAY['confirmed', 'confirmed', 'confirmed', 'pending', 'cancelled'], pg_temp.ft_h('status', i))::operation_status,
       pg_temp.ft_pick(ARRAY['value', 'momentum', '网格', '', NULL], pg_temp.ft_h('strategy', i)),
       CASE WHEN i % 3 > 0 THEN 1 + pg_temp.ft_h('mood', i) % 10 END,
       CASE WHEN i % 4 > 0 THEN pg_temp.ft_tags(i) END,
       pg_temp.ft_json(i),
       pg_temp.ft_note(i),
       pg_temp.ft_ts(t),
       pg_temp.ft_ts(t + i % 86400),
       CASE WHEN i % 2 = 0 THEN round(0.5 + pg_temp.ft_dec('nav', i, 4), 8) END,
       CASE WHEN i % 6 = 0 THEN pg_temp.ft_plan_id(1 + pg_temp.ft_h('plan', i) % (500 * scale)) END,
       CASE WHEN i % 6 = 0 THEN pg_temp.ft_pick(ARRAY['scheduled', 'scheduled', 'manual', 'smart'], pg_temp.ft_h('exec', i)) END,
       pg_temp.ft_operation_id(reverses)
  FROM (SELECT i,
               s.scale,
               1 + pg_temp.ft_h('op fund', i) % (200 + 200 * s.scale) AS fund,
               pg_temp.ft_h('when', i) % 126230400 AS t,
               CASE i % 50 WHEN 0 THEN i - 13                                   -- back
                           WHEN 12 THEN nullif(i - 12, 0)                       -- back, to one that points back
                           WHEN 25 THEN i + 11 END AS reverses                  -- forward
          FROM (SELECT pg_temp.ft_scale() AS scale) AS s,
               generate_series(1, 30000 * s.scale) AS i
        OFFSET 0) AS x;

INSERT INTO asset_positions (id, platform, asset_type, asset_code, asset_name, currency, quantity, avg_cost,
                             current_price, last_operation_id, extra, updated_at)
SELECT 3 * i,
       pg_temp.ft_pick(ARRAY['支付宝', '天天基金', 'Wise', 'IBKR', 'OKX'], i),
       pg_temp.ft_pick(ARRAY['fund', 'stock', 'etf', 'crypto', 'cash'], pg_temp.ft_h('class', i))::asset_class,
       CASE WHEN i <= 200 + 200 * pg_temp.ft_scale() THEN pg_temp.ft_fund_code(i) ELSE 'SYM.' || i END,
       CASE WHEN i <= 200 + 200 * pg_temp.ft_scale() THEN pg_temp.ft_fund_name(i) END,
       pg_temp.ft_pick(ARRAY['CNY', 'USD', 'HKD'], pg_temp.ft_h('ccy', i)),
       pg_temp.ft_dec('pos', i, 100000),
       CASE WHEN i % 8 > 0 THEN pg_temp.ft_dec('cost', i, 1000) END,
       CASE WHEN i % 100 = 50 THEN 'NaN' WHEN i % 10 > 0 THEN round(pg_temp.ft_dec('cur', i, 1000), i % 12) END,
       CASE WHEN i % 5 > 0 THEN pg_temp.ft_operation_id(1 + pg_temp.ft_h('last op', i) % (30000 * pg_temp.ft_scale())) END,
       coalesce(pg_temp.ft_json(i), '{}'),
       pg_temp.ft_ts(100000000 + i)
  FROM generate_series(1, 2000 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- Wise
------------------------------------------------------------------------

INSERT INTO wise_transactions (id, profile_id, account_id, transaction_id, transaction_type, amount, currency,
                               description, merchant, occurred_at, statement_no, receipt, raw, created_at, updated_at,
                               primary_amount, primary_currency, secondary_amount, secondary_currency)
SELECT i + i / 7,
       9000000000 + i % 3,
       'acc-' || i % 40,
       'TRANSFER-' || md5('wise' || i),
       pg_temp.ft_pick(ARRAY['CARD', 'CARD', 'TRANSFER', 'CONVERSION', 'DEPOSIT', 'FEE', 'INTEREST', NULL], pg_temp.ft_h('wt', i)),
       amount,
       ccy,
       pg_temp.ft_note(i),
       pg_temp.ft_pick(ARRAY['星巴克', 'Migros', 'Café de l''Été', 'REWE Köln', 'セブン-イレブン', 'Lidl', 'Amazon*MK1AB2CD3', 'SBB ''Halbtax''', '', NULL], pg_temp.ft_h('shop', i)),
       pg_temp.ft_ts(pg_temp.ft_h('wise at', i) % 140000000),
       1000 + 10 * i,
       CASE WHEN i % 2000 = 1000 THEN (SELECT string_agg(decode(md5(i || ':' || k), 'hex'), ''::bytea ORDER BY k)
                                         FROM generate_series(1, 6400) AS k)               -- 102,400 bytes
            WHEN i % 100 = 3 THEN ''::bytea
            WHEN i % 100 = 4 THEN decode('000a0d095c5c4e5c2e27ff', 'hex')
            WHEN i % 4 = 0 THEN decode(repeat(md5('r' || i), 8 + i % 25), 'hex')           -- 128 to 512 bytes
       END,
       pg_temp.ft_json(i),
       pg_temp.ft_ts(140000000 + i),
       pg_temp.ft_ts(140000000 + i + 5),
       CASE WHEN i % 20 = 0 THEN 0 ELSE amount END,
       ccy,
       CASE WHEN i % 3 = 0 THEN amount * 7.123456 END,
       CASE WHEN i % 3 = 0 THEN 'CNY' END
  FROM (SELECT i,
               round(pg_temp.ft_dec('wise', i, 5000) - 2500, 18) AS amount,
               pg_temp.ft_pick(ARRAY['EUR', 'CHF', 'GBP', 'USD', 'JPY'], pg_temp.ft_h('wccy', i)) AS ccy
          FROM generate_series(1, 8000 * pg_temp.ft_scale()) AS i
        OFFSET 0) AS x;

INSERT INTO wise_balances (id, account_id, currency, available_balance, reserved_balance, total_worth, balance_type,
                           visible, updated_at, update_time)
SELECT i + 100,
       'acc-' || i % 40,
       pg_temp.ft_pick(ARRAY['EUR', 'CHF', 'GBP', 'USD', 'JPY'], i % 40),
       pg_temp.ft_dec('avail', i, 90000),
       CASE WHEN i % 5 = 0 THEN round(pg_temp.ft_dec('resv', i, 90), 2) ELSE 0 END,
       CASE WHEN i % 6 > 0 THEN pg_temp.ft_dec('worth', i, 90000) END,
       CASE WHEN i % 9 = 0 THEN 'SAVINGS' ELSE 'STANDARD' END,
       i % 13 > 0,
       pg_temp.ft_ts(60000 + i * 1800),
       pg_temp.ft_ts(60000 + i * 1800)
  FROM generate_series(1, 2000 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- IBKR
------------------------------------------------------------------------

INSERT INTO ibkr_accounts (account_id, account_name, base_currency, account_type, opened_on, api_key_hash, settings,
                           created_at, updated_at)
SELECT 'U' || lpad((i * 7919)::text, 8, '0'),
       CASE WHEN i % 6 = 0 THEN NULL WHEN i % 6 = 1 THEN '' ELSE '账户 ' || i END,
       pg_temp.ft_pick(ARRAY['USD', 'EUR', 'HKD'], i),
       pg_temp.ft_pick(ARRAY['INDIVIDUAL', 'JOINT', 'IRA'], i),
       CASE WHEN i % 4 > 0 THEN date '2019-05-01' + i * 11 END,
       CASE WHEN i % 3 > 0 THEN sha256(convert_to('key' || i, 'UTF8')) END,
       coalesce(pg_temp.ft_json(i), '{}'),
       pg_temp.ft_ts(i * 5000),
       pg_temp.ft_ts(i * 5000 + 1)
  FROM generate_series(1, 20 * pg_temp.ft_scale()) AS i;

INSERT INTO ibkr_balances (id, account_id, currency, total_cash, net_liquidation, buying_power, snapshot_date, snapshot_at)
SELECT i + i / 10,
       'U' || lpad(((1 + i % (20 * pg_temp.ft_scale())) * 7919)::text, 8, '0'),
       pg_temp.ft_pick(ARRAY['USD', 'EUR', 'HKD'], pg_temp.ft_h('ib', i)),
       pg_temp.ft_dec('cash', i, 90000) - 20000,
       pg_temp.ft_dec('liq', i, 900000),
       CASE WHEN i % 4 > 0 THEN pg_temp.ft_dec('bp', i, 900000) END,
       date '2021-01-01' + i / 24,
       pg_temp.ft_ts(i * 3600)
  FROM generate_series(1, 1500 * pg_temp.ft_scale()) AS i;

INSERT INTO ibkr_positions (id, account_id, symbol, asset_type, currency, quantity, market_price, average_cost,
                            unrealized_pnl, greeks, snapshot_at)
SELECT 2 * i,
       'U' || lpad(((1 + pg_temp.ft_h('ia', i) % (20 * pg_temp.ft_scale())) * 7919)::text, 8, '0'),
       pg_temp.ft_pick(ARRAY['AAPL', 'MSFT', 'VOO', 'BRK B', '0700', 'SPY   250117C00500000'], pg_temp.ft_h('is', i)),
       pg_temp.ft_pick(ARRAY['stock', 'etf', 'cash'], i)::asset_class,
       pg_temp.ft_pick(ARRAY['USD', 'HKD'], i),
       pg_temp.ft_dec('iq', i, 500) - 250,
       CASE WHEN i % 300 = 9 THEN 'NaN' ELSE round(pg_temp.ft_dec('ip', i, 700), 4) END,
       pg_temp.ft_dec('ic', i, 700),
       CASE WHEN i % 5 > 0 THEN pg_temp.ft_dec('iu', i, 9000) - 4500 END,
       pg_temp.ft_json(i),
       pg_temp.ft_ts((i / 10) * 86400)
  FROM generate_series(1, 3000 * pg_temp.ft_scale()) AS i;

INSERT INTO ibkr_sync_logs (id, account_id, request_id, status, rows_in, duration, source_ip, error, started_at)
SELECT i,
       CASE WHEN i % 7 > 0 THEN 'U' || lpad(((1 + i % (20 * pg_temp.ft_scale())) * 7919)::text, 8, '0') END,
       md5('request' || i)::uuid,
       pg_temp.ft_pick(ARRAY['ok', 'ok', 'partial', 'failed'], i),
       i % 900,
       CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN interval '1 month 2 days 03:04:05.678901' WHEN 2 THEN interval '-00:00:01.5'
                  WHEN 3 THEN interval '-1 month 30 days' ELSE (i % 400) * interval '1 millisecond' END,
       CASE WHEN i % 2 = 0 THEN inet '203.0.113.0' + i % 250 END,
       CASE WHEN i % 4 = 3 THEN coalesce(pg_temp.ft_note(i), E'Traceback (most recent call last):\n\t...\nTimeoutError') END,
       pg_temp.ft_ts(i * 40000) + interval '0.123456 second'
  FROM generate_series(1, 500 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- OKX
------------------------------------------------------------------------

INSERT INTO okx_balances (id, account_type, currency, available, frozen, equity, update_time)
SELECT i,
       pg_temp.ft_pick(ARRAY['funding', 'trading', 'savings'], i),
       pg_temp.ft_pick(ARRAY['BTC', 'ETH', 'USDT', 'SOL', 'PEPE', '1INCH'], 0 + pg_temp.ft_h('oc', i) % 5),
       pg_temp.ft_dec('oa', i, 100),
       CASE WHEN i % 6 = 0 THEN pg_temp.ft_dec('of', i, 3) ELSE 0 END,
       CASE WHEN i % 9 > 0 THEN pg_temp.ft_dec('oe', i, 100) END,
       pg_temp.ft_ts(i * 1200)
  FROM generate_series(1, 3000 * pg_temp.ft_scale()) AS i;

INSERT INTO okx_transactions (id, transaction_id, inst_type, inst_id, side, price, size, fee, fee_currency, executed_at, bill)
SELECT 1000 + i + i / 8,
       (620000000000000000 + i * 7919::bigint)::text,
       pg_temp.ft_pick(ARRAY['SPOT', 'SPOT', 'MARGIN', 'SWAP', 'FUTURES', 'OPTION'], pg_temp.ft_h('ot', i))::okx_inst_type,
       pg_temp.ft_pick(ARRAY['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'PEPE-USDT', 'BTC-USDT-SWAP'], pg_temp.ft_h('oi', i)),
       pg_temp.ft_pick(ARRAY['buy', 'sell', NULL], pg_temp.ft_h('os', i)),
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 0.0000000123 ELSE round(pg_temp.ft_dec('op', i, 70000), 2) END,
       pg_temp.ft_dec('oz', i, 50),
       CASE WHEN i % 10 > 0 THEN -round(pg_temp.ft_dec('ofee', i, 1), 18) END,
       CASE WHEN i % 10 > 0 THEN 'USDT' END,
       pg_temp.ft_ts(20000000 + i * 600) + (i % 1000) * interval '1 millisecond',
       pg_temp.ft_json(i)
  FROM generate_series(1, 8000 * pg_temp.ft_scale()) AS i;

INSERT INTO okx_positions (id, inst_id, inst_type, position_side, quantity, avg_price, liq_price, leverage, margin_ratio, updated_at)
SELECT i + i / 3,
       pg_temp.ft_pick(ARRAY['BTC-USDT-SWAP', 'ETH-USDT-SWAP', 'SOL-USDT-250926'], i),
       pg_temp.ft_pick(ARRAY['SWAP', 'SWAP', 'FUTURES'], i)::okx_inst_type,
       pg_temp.ft_pick(ARRAY['long', 'short', 'net'], pg_temp.ft_h('side', i)),
       pg_temp.ft_dec('pq', i, 100),
       pg_temp.ft_dec('pp', i, 70000),
       CASE WHEN i % 3 > 0 THEN pg_temp.ft_dec('pl', i, 70000) END,
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 0.1::real ELSE (1 + i % 125)::real END,
       CASE i % 20 WHEN 0 THEN 'Infinity'::float8 WHEN 1 THEN '-Infinity'::float8 WHEN 2 THEN 'NaN'::float8
                   WHEN 3 THEN '-0'::float8 WHEN 4 THEN 1e-300::float8 WHEN 5 THEN 1.7976931348623157e308::float8
                   WHEN 6 THEN NULL ELSE i / 3.0::float8 END,
       pg_temp.ft_ts(130000000 + i * 60)
  FROM generate_series(1, 1000 * pg_temp.ft_scale()) AS i;

INSERT INTO okx_market_data (id, inst_id, ts, open_price, high_price, low_price, last_price, volume, funding_rate)
SELECT i + 1,
       'INST' || i % 20 || '-USDT',
       pg_temp.ft_ts((i / 20) * 3600),
       pg_temp.ft_dec('mo', i, 70000),
       pg_temp.ft_dec('mo', i, 70000) + 2,
       pg_temp.ft_dec('mo', i, 70000) / 2,
       CASE i % 20 WHEN 0 THEN 0.000000000000000123 ELSE pg_temp.ft_dec('mo', i, 70000) + 1 END,
       CASE WHEN i % 15 > 0 THEN pg_temp.ft_dec('mv', i, 9000000) END,
       CASE WHEN i % 200 = 5 THEN 'NaN' WHEN i % 3 = 0 THEN NULL ELSE pg_temp.ft_dec('mr', i, 1) / 1000 END
  FROM generate_series(0, 4000 * pg_temp.ft_scale() - 1) AS i;

INSERT INTO okx_account_overview (id, trading_total_usd, funding_total_usd, savings_total_usd, breakdown, as_of)
SELECT i, pg_temp.ft_dec('t', i, 90000), pg_temp.ft_dec('f', i, 9000), 0, pg_temp.ft_json(i), pg_temp.ft_ts(i * 43200)
  FROM generate_series(1, 500 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- Web3: 100 + 200 tokens per scale
------------------------------------------------------------------------

INSERT INTO web3_tokens (id, chain, address, symbol, name, decimals, is_verified, logo, aliases)
SELECT i + i / 2,
       pg_temp.ft_pick(ARRAY['ethereum', 'bsc', 'polygon', 'arbitrum'], i),
       '0x' || md5('token' || i) || substr(md5('tail' || i), 1, 8),
       pg_temp.ft_pick(ARRAY['USDC', 'WETH', 'DAI', 'PEPE', '土狗', '🐸'], pg_temp.ft_h('sym', i)) || CASE WHEN i > 6 THEN i::text ELSE '' END,
       pg_temp.ft_note(i),
       CASE i % 4 WHEN 0 THEN 6 WHEN 1 THEN 8 ELSE 18 END,
       i % 3 = 0,
       CASE WHEN i % 5 = 0 THEN decode('89504e470d0a1a0a' || repeat(md5('logo' || i), 10 + i % 10), 'hex') END,
       coalesce(pg_temp.ft_tags(i), '{}')
  FROM generate_series(1, 100 + 200 * pg_temp.ft_scale()) AS i;

INSERT INTO web3_balances (id, wallet, chain, token_address, raw_balance, balance, usd_value, snapshot_at)
SELECT i + i / 20,
       '0x' || md5('wallet' || i % 7) || '00000000',
       pg_temp.ft_pick(ARRAY['ethereum', 'bsc', 'polygon', 'arbitrum'], token),
       '0x' || md5('token' || token) || substr(md5('tail' || token), 1, 8),
       raw,
       raw * 0.000000000000000001,
       CASE WHEN i % 250 = 1 THEN 'NaN' WHEN i % 4 > 0 THEN pg_temp.ft_dec('wu', i, 50000) END,
       pg_temp.ft_ts(i * 900)
  FROM (SELECT i,
               1 + pg_temp.ft_h('tok', i) % (100 + 200 * pg_temp.ft_scale()) AS token,
               CASE WHEN i % 100 = 0 THEN 115792089237316195423570985008687907853269984665640564039457584007913129639935
                    WHEN i % 100 = 1 THEN 0
                    ELSE trunc(pg_temp.ft_dec('raw', i, 90000) * 1000000000000000000) END AS raw
          FROM generate_series(1, 3000 * pg_temp.ft_scale()) AS i
        OFFSET 0) AS x;

INSERT INTO web3_transactions (chain, tx_hash, block_number, block_time, value, method, log_indexes, memo)
SELECT pg_temp.ft_pick(ARRAY['ethereum', 'bsc', 'polygon', 'arbitrum'], i),
       sha256(convert_to('tx' || i, 'UTF8')),
       17000000 + i * 3,
       CASE WHEN i % 30 > 0 THEN pg_temp.ft_ts(80000000 + i * 36) END,
       trunc(pg_temp.ft_dec('txv', i, 3) * 1000000000000000000),
       pg_temp.ft_pick(ARRAY['transfer', 'approve', 'swapExactTokensForTokens', '0xa9059cbb', '', NULL], pg_temp.ft_h('m', i)),
       CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '{}'::int[] WHEN 2 THEN '[0:2]={7,8,9}'::int[] WHEN 3 THEN ARRAY[i, NULL]
                  WHEN 4 THEN ARRAY[[i, 1], [i, 2]] ELSE ARRAY[i % 200, i % 200 + 1] END,
       pg_temp.ft_note(i)
  FROM generate_series(1, 4000 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- Exchange rates: 20 pairs, 400 days from 2022-11-01 (default partition) to 2026-02
------------------------------------------------------------------------

INSERT INTO exchange_rates (id, base_currency, quote_currency, rate_date, rate, source, fetched_at, valid_until)
SELECT i + 1 + i / 30,
       pg_temp.ft_pick(ARRAY['USD', 'EUR', 'HKD', 'GBP'], i % 4),
       pg_temp.ft_pick(ARRAY['CNY', 'JPY', 'CHF', 'SGD', 'USDT'], (i / 4) % 5),
       date '2022-11-01' + 3 * ((i / 20) % 400),
       0.01 + pg_temp.ft_dec('rate', i, 160),
       CASE WHEN i < 8000 THEN 'ecb' WHEN i < 16000 THEN '中国银行' ELSE 'source ' || i / 8000 END,
       pg_temp.ft_ts(58000000 + i * 10),
       CASE i % 4 WHEN 0 THEN timestamptz 'infinity' WHEN 1 THEN pg_temp.ft_ts(60000000 + i * 10) END
  FROM generate_series(0, 8000 * pg_temp.ft_scale() - 1) AS i;


------------------------------------------------------------------------
-- Snapshots
------------------------------------------------------------------------

INSERT INTO asset_snapshots (id, platform, asset_type, asset_code, asset_name, currency, balance, balance_cny,
                             balance_usd, extra, snapshot_at, created_at, base_value, base_currency)
OVERRIDING SYSTEM VALUE
SELECT 10 * i,
       pg_temp.ft_pick(ARRAY['支付宝', 'Wise', 'IBKR', 'OKX', 'MetaMask'], i % 200),
       pg_temp.ft_pick(ARRAY['fund', 'stock', 'etf', 'crypto', 'cash'], i % 200)::asset_class,
       'CODE' || i % 200,
       CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE pg_temp.ft_fund_name(i % 200) END,
       pg_temp.ft_pick(ARRAY['CNY', 'USD', 'EUR'], i % 200),
       pg_temp.ft_dec('snap', i, 500000),
       CASE WHEN i % 12 > 0 THEN pg_temp.ft_dec('snap', i, 500000) * 7.1 END,
       CASE WHEN i % 12 > 0 THEN pg_temp.ft_dec('snap', i, 500000) / 3 END,
       pg_temp.ft_json(i),
       pg_temp.ft_ts((i / 200) * 86400),
       pg_temp.ft_ts((i / 200) * 86400 + 3),
       CASE WHEN i % 12 > 0 THEN round(pg_temp.ft_dec('snap', i, 500000) * 7.1, 18) END,
       CASE WHEN i % 200 = 9 THEN 'USD' ELSE 'CNY' END
  FROM generate_series(1, 5000 * pg_temp.ft_scale()) AS i;

INSERT INTO exchange_rate_snapshots (id, from_currency, to_currency, rate, snapshot_at, source)
SELECT i + i / 2,
       pg_temp.ft_pick(ARRAY['USD', 'EUR', 'BTC'], i),
       'CNY',
       CASE i % 3 WHEN 2 THEN pg_temp.ft_dec('ers', i, 900000) ELSE round(6 + pg_temp.ft_dec('ers', i, 2), 4) END,
       pg_temp.ft_ts((i / 3) * 86400),
       pg_temp.ft_pick(ARRAY['wise', 'okx', '', NULL], i)
  FROM generate_series(1, 1500 * pg_temp.ft_scale()) AS i;


------------------------------------------------------------------------
-- Sequences: every one stands at its column's largest value
------------------------------------------------------------------------

SELECT setval('fund_info_id_seq', (SELECT max(id) FROM fund_info));
SELECT setval('fund_dividend_id_seq', (SELECT max(id) FROM fund_dividend));
SELECT setval('dca_plans_id_seq', (SELECT max(id) FROM dca_plans));
SELECT setval('user_operations_id_seq', (SELECT max(id) FROM user_operations));
SELECT setval('asset_positions_id_seq', (SELECT max(id) FROM asset_positions));
SELECT setval('wise_transactions_id_seq', (SELECT max(id) FROM wise_transactions));
SELECT setval('wise_balances_id_seq', (SELECT max(id) FROM wise_balances));
SELECT setval('ibkr_balances_id_seq', (SELECT max(id) FROM ibkr_balances));
SELECT setval('ibkr_positions_id_seq', (SELECT max(id) FROM ibkr_positions));
SELECT setval('okx_balances_id_seq', (SELECT max(id) FROM okx_balances));
SELECT setval('okx_transactions_id_seq', (SELECT max(id) FROM okx_transactions));
SELECT setval('okx_positions_id_seq', (SELECT max(id) FROM okx_positions));
SELECT setval('okx_market_data_id_seq', (SELECT max(id) FROM okx_market_data));
SELECT setval('okx_account_overview_id_seq', (SELECT max(id) FROM okx_account_overview));
SELECT setval('web3_tokens_id_seq', (SELECT max(id) FROM web3_tokens));
SELECT setval('web3_balances_id_seq', (SELECT max(id) FROM web3_balances));
SELECT setval('exchange_rates_id_seq', (SELECT max(id) FROM exchange_rates));
SELECT setval('asset_snapshots_id_seq', (SELECT max(id) FROM asset_snapshots));
SELECT setval('exchange_rate_snapshots_id_seq', (SELECT max(id) FROM exchange_rate_snapshots));
SELECT setval('wise_statement_no_seq', (SELECT max(statement_no) FROM wise_transactions));
-- Two that have not been called at their value (is_called = false), one of them tied to a column
SELECT setval('ibkr_sync_logs_id_seq', (SELECT max(id) + 1 FROM ibkr_sync_logs), false);
SELECT setval('report_no_seq', 4242, false);


------------------------------------------------------------------------
-- Materialized views, tidying up
------------------------------------------------------------------------

REFRESH MATERIALIZED VIEW mv_monthly_operations;
REFRESH MATERIALIZED VIEW mv_platform_value;

DROP FUNCTION pg_temp.ft_tags(bigint);
DROP FUNCTION pg_temp.ft_json(bigint);
DROP FUNCTION pg_temp.ft_note(bigint);
DROP FUNCTION pg_temp.ft_fund_name(bigint);
DROP FUNCTION pg_temp.ft_operation_id(bigint);
DROP FUNCTION pg_temp.ft_plan_id(bigint);
DROP FUNCTION pg_temp.ft_fund_code(bigint);
DROP FUNCTION pg_temp.ft_fund_id(bigint);
DROP FUNCTION pg_temp.ft_pick(text[], integer);
DROP FUNCTION pg_temp.ft_ts(bigint);
DROP FUNCTION pg_temp.ft_dec(text, bigint, integer);
DROP FUNCTION pg_temp.ft_h(text, bigint);
DROP FUNCTION pg_temp.ft_scale();
