-- Know your customer: applications, and the documents that come with them. The files themselves lie elsewhere.

SET LOCAL ROLE migrator;

CREATE TABLE public.kyc_applications (
    id               uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid        NOT NULL REFERENCES public.users (id),
    status           varchar(20) NOT NULL DEFAULT 'pending_review'
                     CHECK (status IN ('pending_review', 'under_review', 'verified', 'rejected')),
    submitted_at     timestamptz NOT NULL DEFAULT now(),
    reviewed_at      timestamptz,
    verified_by      uuid        REFERENCES public.admin_users (id),
    rejection_reason text,
    review_notes     text,
    metadata         jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.kyc_applications IS 'Requests of users to be verified';
COMMENT ON COLUMN public.kyc_applications.id IS 'Key';
COMMENT ON COLUMN public.kyc_applications.user_id IS 'Who applies';
COMMENT ON COLUMN public.kyc_applications.status IS 'pending_review, under_review, verified or rejected';
COMMENT ON COLUMN public.kyc_applications.submitted_at IS 'When it came in';
COMMENT ON COLUMN public.kyc_applications.reviewed_at IS 'When it was decided; NULL: not yet';
COMMENT ON COLUMN public.kyc_applications.verified_by IS 'Who decided';
COMMENT ON COLUMN public.kyc_applications.rejection_reason IS 'What the applicant is told';
COMMENT ON COLUMN public.kyc_applications.review_notes IS 'What the applicant is not told';
COMMENT ON COLUMN public.kyc_applications.metadata IS 'What the application keeps with it';

CREATE INDEX idx_kyc_applications_user_id ON public.kyc_applications (user_id);
CREATE INDEX idx_kyc_applications_status ON public.kyc_applications (status);
CREATE INDEX idx_kyc_applications_submitted_at ON public.kyc_applications (submitted_at);
-- The list of what waits, oldest first.
CREATE INDEX idx_kyc_applications_status_submitted_at ON public.kyc_applications (status, submitted_at);
CREATE INDEX idx_kyc_applications_verified_by ON public.kyc_applications (verified_by);

CREATE TABLE public.kyc_documents (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    application_id    uuid        NOT NULL REFERENCES public.kyc_applications (id) ON DELETE CASCADE,
    document_type     varchar(20) NOT NULL CHECK (document_type IN ('id', 'passport', 'utility', 'driver_license')),
    original_filename varchar(255),
    stored_filename   varchar(255),
    file_path         varchar(500),
    file_size         integer     CHECK (file_size >= 0),
    mime_type         varchar(100),
    file_hash         varchar(64),
    uploaded_at       timestamptz NOT NULL DEFAULT now(),
    metadata          jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.kyc_documents IS 'Files of a KYC application; go with it';
COMMENT ON COLUMN public.kyc_documents.id IS 'Key';
COMMENT ON COLUMN public.kyc_documents.application_id IS 'Of which application';
COMMENT ON COLUMN public.kyc_documents.document_type IS 'id, passport, utility or driver_license';
COMMENT ON COLUMN public.kyc_documents.original_filename IS 'What the user called it';
COMMENT ON COLUMN public.kyc_documents.stored_filename IS 'What it is called in the store';
COMMENT ON COLUMN public.kyc_documents.file_path IS 'Where it lies there';
COMMENT ON COLUMN public.kyc_documents.file_size IS 'Bytes';
COMMENT ON COLUMN public.kyc_documents.mime_type IS 'As it was uploaded';
COMMENT ON COLUMN public.kyc_documents.file_hash IS 'SHA-256 of the file, in hexadecimal';
COMMENT ON COLUMN public.kyc_documents.uploaded_at IS 'When it came in';
COMMENT ON COLUMN public.kyc_documents.metadata IS 'What the application keeps with it';

CREATE INDEX idx_kyc_documents_application_id ON public.kyc_documents (application_id);
CREATE INDEX idx_kyc_documents_document_type ON public.kyc_documents (document_type);
