#!/bin/bash
# At the first start: Marquee's own role, which is no superuser. CREATEDB is for the smoke tests, which use a database of their own.
set -euo pipefail
password=$(cat /run/secrets/database_password)
psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 --dbname postgres <<SQL
CREATE ROLE marquee LOGIN CREATEDB PASSWORD '$password';
CREATE DATABASE marquee OWNER marquee;
SQL
