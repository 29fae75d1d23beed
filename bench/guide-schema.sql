-- The owner's guide, as written: its tables, indexes and triggers. What the guide leaves to its first part (categories,
-- users, materials) is filled in; "korean" is no text search configuration of PostgreSQL, so the index says "simple".

CREATE TABLE categories (id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL UNIQUE, is_active BOOLEAN DEFAULT true);
CREATE TABLE users (id SERIAL PRIMARY KEY, username VARCHAR(50) UNIQUE NOT NULL);
CREATE TABLE materials (
 id SERIAL PRIMARY KEY, title VARCHAR(200) NOT NULL, description TEXT, content TEXT,
 category_id INTEGER REFERENCES categories(id), file_path VARCHAR(500), file_name VARCHAR(255), original_file_name VARCHAR(255),
 file_size BIGINT, mime_type VARCHAR(100), difficulty_level SMALLINT DEFAULT 1, estimated_time INTEGER, uploaded_by INTEGER REFERENCES users(id),
 is_featured BOOLEAN DEFAULT false, is_active BOOLEAN DEFAULT true, view_count INTEGER DEFAULT 0, download_count INTEGER DEFAULT 0,
 created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP);
INSERT INTO categories (name) SELECT 'c' || i FROM generate_series(1,6) i;
INSERT INTO users (username) VALUES ('admin');
CREATE TABLE download_logs (
    id SERIAL PRIMARY KEY,
    material_id INTEGER REFERENCES materials(id) ON DELETE CASCADE,
    user_ip INET, user_agent TEXT,
    download_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    referer_url TEXT, session_id VARCHAR(100));
CREATE INDEX idx_materials_category_active_created ON materials(category_id, is_active, created_at DESC);
CREATE INDEX idx_materials_fulltext ON materials USING gin(to_tsvector('simple', title || ' ' || COALESCE(description, '')));
CREATE INDEX idx_materials_active_title ON materials(title) WHERE is_active = true;
CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS TRIGGER AS $$ BEGIN NEW.updated_at = CURRENT_TIMESTAMP; RETURN NEW; END; $$ language 'plpgsql';
CREATE TRIGGER update_materials_updated_at BEFORE UPDATE ON materials FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE OR REPLACE FUNCTION increment_download_count() RETURNS TRIGGER AS $$ BEGIN UPDATE materials SET download_count = download_count + 1 WHERE id = NEW.material_id; RETURN NEW; END; $$ language 'plpgsql';
CREATE TRIGGER increment_material_downloads AFTER INSERT ON download_logs FOR EACH ROW EXECUTE FUNCTION increment_download_count();
CREATE OR REPLACE FUNCTION validate_file_size() RETURNS TRIGGER AS $$ BEGIN IF NEW.file_size > 104857600 THEN RAISE EXCEPTION 'File size cannot exceed 100MB'; END IF; RETURN NEW; END; $$ language 'plpgsql';
CREATE TRIGGER validate_material_file_size BEFORE INSERT OR UPDATE ON materials FOR EACH ROW EXECUTE FUNCTION validate_file_size();
CREATE TABLE audit_log (id SERIAL PRIMARY KEY, table_name VARCHAR(50) NOT NULL, operation VARCHAR(10) NOT NULL, old_values JSONB, new_values JSONB, user_name VARCHAR(50), changed_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP);
CREATE OR REPLACE FUNCTION audit_trigger() RETURNS TRIGGER AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN INSERT INTO audit_log (table_name, operation, old_values, user_name) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(OLD), current_user); RETURN OLD;
    ELSIF TG_OP = 'UPDATE' THEN INSERT INTO audit_log (table_name, operation, old_values, new_values, user_name) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(OLD), to_jsonb(NEW), current_user); RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN INSERT INTO audit_log (table_name, operation, new_values, user_name) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(NEW), current_user); RETURN NEW; END IF; END; $$ LANGUAGE plpgsql;
CREATE TRIGGER materials_audit_trigger AFTER INSERT OR UPDATE OR DELETE ON materials FOR EACH ROW EXECUTE FUNCTION audit_trigger();
